//! Aligned columns.

use super::style::{Style, Tone, clean};

/// To which side a column is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
    /// Names that may be cut to fit the terminal.
    Cut,
}

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        cell(text.as_ref(), Tone::Plain)
    }
}

/// A cell in a tone.
pub(super) fn cell(text: impl AsRef<str>, tone: Tone) -> Cell {
    Cell { text: clean(text.as_ref()), tone }
}

/// Rows under a header.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[Cell; N]>,
}

/// Blanks between columns.
const GAP: usize = 2;

/// A column is not cut below this.
const NARROWEST: usize = 8;

impl<const N: usize> Table<N> {
    /// No rows yet.
    pub(super) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table, each line ending in a newline.
    pub(super) fn render(&self, style: Style) -> String {
        let widths = self.widths(style.width);
        let header = self.columns.map(|(name, _)| cell(name, Tone::Quiet));
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            self.line(&mut text, row, &widths, style);
        }
        text
    }

    fn widths(&self, limit: Option<usize>) -> [usize; N] {
        let mut widths = self.columns.map(|(name, _)| name.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let Some(limit) = limit else { return widths };
        let mut over = (widths.iter().sum::<usize>() + GAP * (N - 1)).saturating_sub(limit);
        for (width, (name, align)) in widths.iter_mut().zip(self.columns) {
            if align == Align::Cut && over > 0 {
                let least = NARROWEST.max(name.chars().count());
                let taken = over.min(width.saturating_sub(least));
                *width -= taken;
                over -= taken;
            }
        }
        widths
    }

    fn line(&self, text: &mut String, row: &[Cell; N], widths: &[usize; N], style: Style) {
        let mut line = String::new();
        // Blanks are added only before something that is seen, so that no line ends in them.
        let mut blanks = 0;
        for ((cell, &width), (_, align)) in row.iter().zip(widths).zip(self.columns) {
            let shown = cut(&cell.text, width);
            let pad = width - shown.chars().count();
            let (before, after) = if align == Align::Right { (pad, 0) } else { (0, pad) };
            blanks += before;
            if !shown.is_empty() {
                line.extend(std::iter::repeat_n(' ', blanks));
                line.push_str(&style.paint(cell.tone, &shown));
                blanks = 0;
            }
            blanks += after + GAP;
        }
        text.push_str(&line);
        text.push('\n');
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table<3> {
        let mut table =
            Table::new([("NAME", Align::Left), ("PACKETS", Align::Right), ("WHY", Align::Cut)]);
        table.row(["a".into(), "12".into(), "a reason that goes on and on".into()]);
        table.row([cell("longer", Tone::Bad), "3".into(), "".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        assert_eq!(
            example().render(Style::PLAIN),
            "NAME    PACKETS  WHY\n\
             a            12  a reason that goes on and on\n\
             longer        3\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        let narrow = Style { colour: false, width: Some(30), unicode: true };
        assert_eq!(
            example().render(narrow),
            "NAME    PACKETS  WHY\n\
             a            12  a reason tha…\n\
             longer        3\n"
        );
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let coloured = Style { colour: true, width: None, unicode: true };
        let text = example().render(coloured);
        assert!(text.contains("\x1b[1;31mlonger\x1b[0m        3\n"), "{text:?}");
    }
}
