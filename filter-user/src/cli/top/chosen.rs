//! The row that is chosen: what it is about, and all that is known of it. Pure.

use super::cells::short;
use super::dialog::Text;
use super::model::{Model, Page};
use super::pages::{ban_id, shown, source_id};
use crate::cli::human::{percent, span};
use crate::control::api::{ApiStatus, Ban, FindingEntry, Status, Top};

/// What a row is about: what can be explained and banned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    /// An address or a network.
    pub(super) source: Option<String>,
    /// The API's name.
    pub(super) api: Option<String>,
    /// Where packets go, as a policy writes it.
    pub(super) to: Option<String>,
}
/// The row that is chosen on the page.
fn chosen(model: &Model) -> Option<String> {
    let grid = model.grid();
    let at = grid.chosen(model.view())?;
    Some(grid.rows[at].id.clone())
}

/// The ban that is chosen.
pub(super) fn chosen_ban(model: &Model) -> Option<&Ban> {
    let id = chosen(model).filter(|_| model.page == Page::Bans)?;
    model.history.latest()?.bans.iter().find(|ban| ban_id(ban) == id)
}

fn chosen_finding(model: &Model) -> Option<&FindingEntry> {
    let id = chosen(model).filter(|_| model.page == Page::Findings)?;
    model.history.latest()?.findings.iter().find(|finding| finding.id == id)
}

/// Where an API is reached, as far as that is known: where it listens, at an address that the policy
/// says or that somebody asked.
fn reached(top: &Top, api: &str) -> Option<String> {
    let of_api = top.sources.iter().filter(|source| source.api == api);
    let asked = of_api.chain(&top.sources).find_map(|source| source.server);
    let listen = top.status.apis.iter().find(|known| known.name == api)?.listen.first()?;
    if listen.contains(':') {
        return Some(listen.clone());
    }
    match asked?.ip() {
        std::net::IpAddr::V4(address) => Some(format!("{address}:{listen}")),
        std::net::IpAddr::V6(address) => Some(format!("[{address}]:{listen}")),
    }
}

/// What the chosen row is about.
pub(super) fn subject(model: &Model) -> Subject {
    let (Some(top), Some(id)) = (model.history.latest(), chosen(model)) else {
        return Subject::default();
    };
    let of_api =
        |api: &str| Subject { source: None, api: Some(api.to_owned()), to: reached(top, api) };
    match model.page {
        Page::Apis => of_api(&id),
        Page::Requests | Page::Reasons => of_api(id.split(' ').next().unwrap_or_default()),
        Page::Sources => {
            let source = top.sources.iter().find(|source| source_id(source) == id);
            source.map_or_else(Subject::default, |source| Subject {
                source: Some(source.source.to_string()),
                to: source.server.map(|at| at.to_string()).or_else(|| reached(top, &source.api)),
                api: Some(source.api.clone()),
            })
        }
        Page::Findings => chosen_finding(model).map_or_else(Subject::default, |finding| Subject {
            source: finding.source.clone(),
            ..of_api(&finding.api)
        }),
        Page::Bans => chosen_ban(model).map_or_else(Subject::default, |ban| Subject {
            source: Some(ban.prefix.clone()),
            ..ban.api.as_deref().map_or_else(Subject::default, of_api)
        }),
    }
}

/// All that is known of the chosen row.
pub(super) fn detail(model: &Model) -> Option<Text> {
    if let Some(finding) = chosen_finding(model) {
        return Some(Text::of("Finding", &finding_text(finding)));
    }
    let grid = model.grid();
    let row = &grid.rows[grid.chosen(model.view())?];
    let mut text = String::new();
    for (column, cell) in grid.columns.iter().zip(&row.cells) {
        let value = if cell.text.is_empty() { model.look.glyphs().none } else { &cell.text };
        text.push_str(&format!("{:9} {value}\n", column.title));
    }
    if model.page == Page::Apis
        && let Some(api) = api(&model.history.latest()?.status, &row.id)
    {
        text.push_str(&format!("\n{:9} {}\n", "LISTEN", api.listen.join(" ")));
        for (name, value) in [("OWNER", &api.owner), ("CRITICAL", &api.criticality)] {
            if !value.is_empty() {
                text.push_str(&format!("{name:9} {value}\n"));
            }
        }
    }
    Some(Text::of(model.page.title(), &text))
}

fn api<'a>(status: &'a Status, name: &str) -> Option<&'a ApiStatus> {
    status.apis.iter().find(|api| api.name == name)
}
fn finding_text(finding: &FindingEntry) -> String {
    let FindingEntry { id, detector, severity, api, why, unit, .. } = finding;
    let mut text = format!("{detector}, {severity}, at {}\n\n{why}\n\n", shown(api));
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:10} {value}\n"));
    if let (Some(method), Some(route)) = (&finding.method, &finding.route) {
        line("endpoint", format!("{method} {route}"));
    }
    if let Some(source) = &finding.source {
        line("source", source.clone());
    }
    line("observed", format!("{} {unit}", short(finding.observed)));
    line("baseline", format!("{} {unit}", short(finding.baseline)));
    line("threshold", format!("{} {unit}", short(finding.threshold)));
    line("window", span(finding.window_seconds));
    line("complete", percent(finding.completeness));
    if let Some(owasp) = &finding.owasp {
        line("OWASP", owasp.clone());
    }
    if finding.evidence_forgeable {
        line("evidence", "anyone could have forged it".to_owned());
    }
    line("id", id.clone());
    text.push_str(
        "\nweir findings show ID says more; weir findings ack ID notes that you have seen it.",
    );
    text
}
