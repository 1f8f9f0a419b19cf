//! Queries in PromQL over metrics that are defined.

use crate::export::metrics::def::{Def, Kind};

/// A query, what it is called in the legend, and the metrics it asks.
pub(super) struct Query {
    pub(super) text: String,
    pub(super) legend: String,
    pub(super) asks: Vec<&'static str>,
}

impl Query {
    fn of(def: &Def, text: String, by: &[&str]) -> Self {
        let legend =
            by.iter().map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ");
        Self { text, legend, asks: vec![def.name] }
    }

    /// The same under another name.
    pub(super) fn named(mut self, legend: &str) -> Self {
        legend.clone_into(&mut self.legend);
        self
    }

    /// This over another, with a vector matching of the labels they have in common.
    pub(super) fn over(mut self, other: Self) -> Self {
        self.text = format!("({}) / ({})", self.text, other.text);
        self.asks.extend(other.asks);
        self
    }
}

/// A metric, on the hosts that are chosen, with further matchers.
fn series(def: &Def, suffix: &str, matchers: &str) -> String {
    let comma = if matchers.is_empty() { "" } else { "," };
    format!("{}{suffix}{{instance=~\"$instance\"{comma}{matchers}}}", def.name)
}

/// What a counter, or the number of a histogram's values, grows by in a second.
pub(super) fn rate(def: &Def, by: &[&str], matchers: &str) -> Query {
    let suffix = if def.kind == Kind::Histogram { "_count" } else { "" };
    let series = series(def, suffix, matchers);
    let text = format!("sum by ({}) (rate({series}[$__rate_interval]))", by.join(", "));
    Query::of(def, text, by)
}

/// A gauge, added up.
pub(super) fn level(def: &Def, by: &[&str], matchers: &str) -> Query {
    let text = format!("sum by ({}) ({})", by.join(", "), series(def, "", matchers));
    Query::of(def, text, by)
}

/// A gauge as it is.
pub(super) fn plain(def: &Def, matchers: &str) -> Query {
    Query::of(def, series(def, "", matchers), def.labels)
}

/// Seconds since the time that a gauge holds.
pub(super) fn age(def: &Def, by: &[&str]) -> Query {
    let text = format!("time() - max by ({}) ({})", by.join(", "), series(def, "", ""));
    Query::of(def, text, by)
}

/// A quantile of a histogram.
pub(super) fn quantile(share: f64, def: &Def, by: &[&str], matchers: &str) -> Query {
    let mut labels = vec!["le"];
    labels.extend(by);
    let series = series(def, "_bucket", matchers);
    let text = format!(
        "histogram_quantile({share}, sum by ({}) (rate({series}[$__rate_interval])))",
        labels.join(", ")
    );
    let name = format!("p{}", share * 100.0);
    let query = Query::of(def, text, by);
    let legend = if query.legend.is_empty() { name } else { format!("{} {name}", query.legend) };
    query.named(&legend)
}
