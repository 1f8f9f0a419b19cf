//! Grafana dashboards, from the definitions of the metrics: a panel can name no other.
//!
//! Four pages: all APIs at a glance, one API, findings and what followed, weir itself. What none of
//! them shows in a panel of its own is at the end of the last, so that every metric is on a page.
//! `cargo xtask dashboards` writes the files; nothing here is in the daemon.

mod pages;
mod query;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use query::Query;

/// The version of Grafana's format that is written (Grafana 10).
const FORMAT: u32 = 39;
/// Columns of a page, and the height of a panel.
const COLUMNS: u32 = 24;
const HEIGHT: u32 = 8;

/// A graph, or numbers.
struct Panel {
    title: String,
    about: String,
    /// In Grafana's words: `reqps`, `s`, `percentunit`.
    unit: &'static str,
    /// In Grafana's words: `timeseries`, `stat`, `table`.
    kind: &'static str,
    /// Columns.
    width: u32,
    queries: Vec<Query>,
}

/// A dashboard.
struct Page {
    /// Its identity in Grafana, and the name of its file.
    uid: &'static str,
    title: &'static str,
    about: &'static str,
    /// Whether it is about one API, to be chosen.
    of_api: bool,
    panels: Vec<Panel>,
}

/// Every dashboard: the name of its file, and its text.
pub fn files() -> Vec<(String, String)> {
    let file = |page: &Page| (format!("{}.json", page.uid), format!("{:#}\n", page.json()));
    pages::all().iter().map(file).collect()
}

impl Page {
    fn json(&self) -> Value {
        let mut variables = vec![
            json!({
                "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
            }),
            variable("instance", "Host", "label_values(weir_build_info, instance)", true),
        ];
        if self.of_api {
            let query = "label_values(weir_api_info{instance=~\"$instance\"}, api)";
            variables.push(variable("api", "API", query, false));
        }
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["weir"],
            "schemaVersion": FORMAT,
            "editable": true,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": variables},
            "links": [{
                "type": "dashboards", "tags": ["weir"], "title": "weir", "asDropdown": false,
                "includeVars": true, "keepTime": true,
            }],
            "panels": self.placed(),
        })
    }

    /// The panels, from left to right and from top to bottom.
    fn placed(&self) -> Vec<Value> {
        let (mut x, mut y) = (0, 0);
        let place = |(number, panel): (usize, &Panel)| {
            if x + panel.width > COLUMNS {
                (x, y) = (0, y + HEIGHT);
            }
            let at = json!({"x": x, "y": y, "w": panel.width, "h": HEIGHT});
            x += panel.width;
            panel.json(number + 1, &at)
        };
        self.panels.iter().enumerate().map(place).collect()
    }
}

/// A choice at the top of a page.
fn variable(name: &str, label: &str, query: &str, several: bool) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "query": query, "refresh": 2, "sort": 1,
        "datasource": source(), "includeAll": several, "multi": several,
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

impl Panel {
    fn json(&self, id: usize, at: &Value) -> Value {
        let instant = self.kind != "timeseries";
        let target = |(number, query): (usize, &Query)| {
            let letter = char::from(b'A' + u8::try_from(number % 26).unwrap_or(0));
            json!({
                "refId": letter.to_string(), "expr": query.text, "legendFormat": query.legend,
                "datasource": source(), "instant": instant, "range": !instant,
                "format": if self.kind == "table" { "table" } else { "time_series" },
            })
        };
        let targets: Vec<Value> = self.queries.iter().enumerate().map(target).collect();
        json!({
            "id": id, "title": self.title, "description": self.about, "type": self.kind,
            "datasource": source(), "gridPos": at, "targets": targets,
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0}, "overrides": []},
        })
    }
}
