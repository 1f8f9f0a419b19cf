//! The table at the end: a claim, what was expected, and three independent counts of it.

use super::text::Paint;

/// A claim, or one of its cases. Cells may have several lines.
#[derive(Debug, Default, Clone)]
pub(super) struct Row {
    /// The claim; said once where several rows have the same.
    pub(super) claim: &'static str,
    /// Which case: a protocol, a status, a path.
    pub(super) case: String,
    /// What should come out.
    pub(super) expected: String,
    /// What curl, wrk and the packet generator saw.
    pub(super) client: String,
    /// What `weir status` says.
    pub(super) kernel: String,
    /// What /metrics says.
    pub(super) metrics: String,
    /// Whether all of it agrees.
    pub(super) holds: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
}

/// Room for a gap and `ok`.
const MARK: usize = 4;
const HEADINGS: [&str; 6] = ["claim", "", "expected", "client saw", "kernel counted", "/metrics"];

impl Table {
    /// Lays it out; columns are as wide as their widest line.
    pub(super) fn render(&self, paint: Paint) -> String {
        let mut widths = HEADINGS.map(|heading| heading.chars().count());
        let claims = self.rows.iter().flat_map(|row| row.claim.lines());
        widths[0] = claims.map(|line| line.chars().count()).max().unwrap_or(0).max(widths[0]);
        for row in &self.rows {
            for (width, cell) in widths[1..].iter_mut().zip(row.cells()) {
                let widest = cell.lines().map(|line| line.chars().count()).max();
                *width = widest.unwrap_or(0).max(*width);
            }
        }
        let gaps = 2 * (widths.len() - 1) + MARK;
        let rule = paint.dim(&"─".repeat(widths.iter().sum::<usize>() + gaps));
        let mut text = format!("{}  ok\n{rule}\n", paint.strong(&line(HEADINGS, &widths)));
        for (number, group) in self.rows.chunk_by(|a, b| a.claim == b.claim).enumerate() {
            if number > 0 {
                text.push('\n');
            }
            text.push_str(&render(group, &widths, paint));
        }
        text.push_str(&rule);
        text.push('\n');
        text
    }
}

impl Row {
    /// What stands beside the claim.
    fn cells(&self) -> [&str; 5] {
        [&self.case, &self.expected, &self.client, &self.kernel, &self.metrics]
    }
}

/// Rows of one claim: its lines run down beside them.
fn render(rows: &[Row], widths: &[usize; 6], paint: Paint) -> String {
    let mut claim = rows.first().map_or("", |row| row.claim).lines();
    let mut text = String::new();
    let mut put = |parts: [&str; 5], mark: Option<bool>| {
        let claim = claim.next();
        if claim.is_none() && parts == [""; 5] {
            return false;
        }
        let [a, b, c, d, e] = parts;
        let mut shown = line([claim.unwrap_or(""), a, b, c, d, e], widths);
        match mark {
            Some(true) => shown.push_str(&format!("  {}", paint.good("ok"))),
            Some(false) => shown.push_str(&format!("  {}", paint.bad("FAIL"))),
            None => shown.truncate(shown.trim_end().len()),
        }
        text.push_str(&shown);
        text.push('\n');
        true
    };
    for row in rows {
        let cells = row.cells();
        let height = cells.iter().map(|cell| cell.lines().count()).max().unwrap_or(0);
        for number in 0..height {
            let parts = cells.map(|cell| cell.lines().nth(number).unwrap_or(""));
            put(parts, (number == 0).then_some(row.holds));
        }
    }
    while put([""; 5], None) {}
    text
}

fn line(parts: [&str; 6], widths: &[usize; 6]) -> String {
    let padded: Vec<String> =
        parts.iter().zip(widths).map(|(part, width)| format!("{part:<width$}")).collect();
    padded.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_run_down_beside_their_rows() {
        let row = |case: &str, expected: &str, holds| Row {
            claim: "it is wet\nand cold\nand late",
            case: case.to_owned(),
            expected: expected.to_owned(),
            holds,
            ..Row::default()
        };
        let rows = vec![row("today", "rain\nwind", true), row("tonight", "hail", false)];
        let text = Table { rows }.render(Paint::plain());
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "claim               expected  client saw  kernel counted  /metrics  ok",
            "it is wet  today    rain                                            ok",
            "and cold            wind",
            "and late   tonight  hail                                            FAIL",
        ];
        assert_eq!([lines[0], lines[2], lines[3], lines[4]], expected);
        assert_eq!(lines.len(), 6, "{text}");
    }
}
