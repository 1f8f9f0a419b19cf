//! `weir completions`: a script for a shell.

use clap::Args;
use clap_complete::Shell;

use super::grammar;
use super::outcome::{Outcome, Verdict, write_out};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    weir completions bash > /etc/bash_completion.d/weir\n  \
    weir completions zsh  > /usr/local/share/zsh/site-functions/_weir\n  \
    weir completions fish > ~/.config/fish/completions/weir.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> Verdict {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut grammar(), "weir", &mut script);
    write_out(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
