//! README.md and the pages of docs/, taken apart: commands in blocks and in running text, files that a
//! block shows, and blocks that do not say what they are.

use std::path::Path;

use anyhow::{Context, Result};

/// What a command in running text begins with; any other code there is a name, not a command.
const PROGRAMS: [&str; 12] = [
    "weir",
    "cargo",
    "curl",
    "promtool",
    "jq",
    "systemctl",
    "journalctl",
    "apt",
    "sudoedit",
    "df",
    "usermod",
    "watch",
];
/// What a block may say of itself: `sh` are commands, all others are not run.
const KINDS: [&str; 8] = ["sh", "text", "toml", "json", "yaml", "promql", "conf", "console"];

/// A part of a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// A block of commands begins: what follows finds the host as usual.
    Begin,
    /// A command, without its comment.
    Command { line: usize, text: String, inline: bool },
    /// A block `toml NAME`: a file that the commands after it speak of.
    File { name: String, text: String },
    /// A block `text COMMAND`: what the command prints, line by line.
    Output { line: usize, command: String, text: String },
    /// A block that says nothing, or something else, of what it is.
    Unmarked { line: usize },
}

/// A page.
pub(crate) struct Page {
    /// Its path from the root of the repository.
    pub(crate) name: String,
    pub(crate) parts: Vec<Part>,
}

/// README.md first, as it begins on an empty host; then the others by name.
pub(crate) fn all(root: &Path) -> Result<Vec<Page>> {
    let docs = root.join("docs");
    let mut names = Vec::new();
    for entry in
        std::fs::read_dir(&docs).with_context(|| format!("cannot list {}", docs.display()))?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    names.insert(0, "README.md".to_owned());
    let read = |name: String| {
        let path = root.join(&name);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Page { name, parts: parts(&text) })
    };
    names.into_iter().map(read).collect()
}

/// Takes a page apart.
pub(crate) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut prose = String::new();
    let mut prose_from = 1;
    while let Some((index, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            prose.push_str(line);
            prose.push('\n');
            continue;
        };
        inline(&prose, prose_from, &mut parts);
        prose.clear();
        let mut block = Vec::new();
        prose_from = index + 2;
        for (index, line) in lines.by_ref() {
            prose_from = index + 2;
            if line.trim_start().starts_with("```") {
                break;
            }
            block.push((index + 1, line));
        }
        let (kind, more) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
        let text = || block.iter().map(|(_, line)| format!("{line}\n")).collect();
        if kind == "sh" {
            parts.push(Part::Begin);
            commands(&block, &mut parts);
        } else if !KINDS.contains(&kind) {
            parts.push(Part::Unmarked { line: index + 1 });
        } else if kind == "text" && !more.is_empty() {
            parts.push(Part::Output { line: index + 1, command: more.to_owned(), text: text() });
        } else if !more.is_empty() {
            parts.push(Part::File { name: more.to_owned(), text: text() });
        }
    }
    inline(&prose, prose_from, &mut parts);
    parts
}

/// The commands of a block: a line each, or more while a quote is open or a line ends with `\`.
fn commands(block: &[(usize, &str)], parts: &mut Vec<Part>) {
    let mut open: Option<(usize, String)> = None;
    for (number, line) in block {
        let (from, mut text) = open.take().unwrap_or((*number, String::new()));
        text.push_str(line);
        let (command, complete) = uncommented(&text);
        if !complete {
            text.push('\n');
            open = Some((from, text));
        } else if !command.is_empty() {
            parts.push(Part::Command { line: from, text: command, inline: false });
        }
    }
    // What is never closed is a command that the shell will refuse.
    if let Some((line, text)) = open {
        parts.push(Part::Command { line, text, inline: false });
    }
}

/// A command without its comment, and whether it is complete.
fn uncommented(text: &str) -> (String, bool) {
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        match quote {
            Some(open) if open == letter => quote = None,
            Some(_) => {}
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            None if letter == '#' && before.is_whitespace() => {
                return (text[..at].trim().to_owned(), true);
            }
            None => {}
        }
        before = letter;
    }
    (text.trim().to_owned(), quote.is_none() && before != '\\')
}

/// Commands in running text.
fn inline(prose: &str, from: usize, parts: &mut Vec<Part>) {
    let mut rest = prose;
    let mut line = from;
    while let Some(start) = rest.find('`') {
        line += rest[..start].matches('\n').count();
        rest = &rest[start + 1..];
        let Some(end) = rest.find('`') else { return };
        let text = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ").replace("\\|", "|");
        let mut words = text.split(' ').skip_while(|word| *word == "sudo" || word.contains('='));
        if words.next().is_some_and(|word| PROGRAMS.contains(&word)) && words.next().is_some() {
            parts.push(Part::Command { line, text, inline: true });
        }
        line += rest[..end].matches('\n').count();
        rest = &rest[end + 1..];
    }
}

#[test]
fn pages_are_taken_apart() {
    let page = "See `weir` and `sudo weir\nban list`.\n\n```sh\nweir a \\\n  b   # why\n# only this\necho '#\n'x\n```\n\
                ```toml edge.toml\n[x]\n```\n```text weir c\nd\n```\n```\nd\n```\nor `curl x` | `e f`\n";
    let command = |line, text: &str, inline| Part::Command { line, text: text.to_owned(), inline };
    let expected = [
        command(1, "sudo weir ban list", true),
        Part::Begin,
        command(5, "weir a \\\n  b", false),
        command(8, "echo '#\n'x", false),
        Part::File { name: "edge.toml".to_owned(), text: "[x]\n".to_owned() },
        Part::Output { line: 14, command: "weir c".to_owned(), text: "d\n".to_owned() },
        Part::Unmarked { line: 17 },
        command(20, "curl x", true),
    ];
    assert_eq!(parts(page), expected);
}
