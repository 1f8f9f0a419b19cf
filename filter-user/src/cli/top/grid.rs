//! A table on the screen: columns that give way when there is no room, rows that are sorted, filtered
//! and chosen. What is chosen is remembered by name, so that it stays when rows move.

use std::cmp::Ordering;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::look::Look;
use crate::cli::style::Tone;

/// Columns between two of the table's.
const GAP: usize = 2;
/// A column that may be cut is not cut below this.
const LEAST: usize = 14;

/// A column that is shown, by its number, and its width.
type Place = (usize, usize);

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// What it is called.
    pub(super) title: &'static str,
    /// Numbers stand at the right.
    pub(super) right: bool,
    /// It is cut before another is left out.
    pub(super) cut: bool,
    /// Which are left out first: those with the largest rank; 0 never.
    pub(super) rank: u8,
    /// Its width at least: what changes every second should not move what is beside it.
    pub(super) least: usize,
}

impl Column {
    pub(super) const fn left(title: &'static str, rank: u8) -> Self {
        Self { title, right: false, cut: false, rank, least: 0 }
    }

    pub(super) const fn right(title: &'static str, rank: u8, least: usize) -> Self {
        Self { title, right: true, cut: false, rank, least }
    }

    pub(super) const fn cut(title: &'static str, rank: u8) -> Self {
        Self { title, right: false, cut: true, rank, least: 0 }
    }
}

/// What a cell is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Number(f64),
    Text(String),
}

impl Key {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
    pub(super) key: Key,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>, tone: Tone) -> Self {
        let text = text.into();
        Self { key: Key::Text(text.to_lowercase()), text, tone }
    }

    pub(super) fn number(value: f64, text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone, key: Key::Number(value) }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Its name, which no other has.
    pub(super) id: String,
    pub(super) cells: Vec<Cell>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// What it says without a row.
    pub(super) empty: String,
}

/// How a table is looked at: kept from one drawing to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// The column to sort by; `None`: as the rows come.
    pub(super) sort: Option<usize>,
    /// Small first.
    pub(super) ascending: bool,
    /// The row that is chosen.
    pub(super) chosen: Option<String>,
}

impl Grid {
    /// Leaves the rows that have the text somewhere, and puts them in order.
    pub(super) fn arrange(&mut self, view: &View, filter: &str) {
        let wanted = filter.to_lowercase();
        let has = |row: &Row| row.cells.iter().any(|c| c.text.to_lowercase().contains(&wanted));
        if !wanted.is_empty() {
            let before = self.rows.len();
            self.rows.retain(has);
            if before > 0 && self.rows.is_empty() {
                self.empty = format!("nothing has \"{filter}\"");
            }
        }
        if let Some(at) = view.sort {
            self.rows.sort_by(|a, b| {
                let order = match (a.cells.get(at), b.cells.get(at)) {
                    (Some(a), Some(b)) => a.key.compare(&b.key),
                    _ => Ordering::Equal,
                };
                let order = if view.ascending { order } else { order.reverse() };
                order.then_with(|| a.id.cmp(&b.id))
            });
        }
    }

    /// The place of the row that is chosen: the first when it is gone.
    pub(super) fn chosen(&self, view: &View) -> Option<usize> {
        let at = self.rows.iter().position(|row| Some(&row.id) == view.chosen.as_ref());
        at.or((!self.rows.is_empty()).then_some(0))
    }

    /// The width of each column that is shown, for this many columns of the terminal. Columns that may
    /// be cut are, before others are left out.
    fn widths(&self, room: usize) -> Vec<Place> {
        let wanted = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(at));
            let widest = cells.map(|cell| width(&cell.text)).max().unwrap_or(0);
            // With room for the mark of the order.
            let column = &self.columns[at];
            (at, widest.max(width(column.title) + 1).max(column.least))
        };
        let all: Vec<Place> = (0..self.columns.len()).map(wanted).collect();
        let mut left: Vec<usize> = (0..all.len()).collect();
        loop {
            let mut shown: Vec<Place> = left.iter().map(|at| all[*at]).collect();
            if self.narrow(&mut shown, room) {
                return shown;
            }
            let least = left.iter().enumerate().max_by_key(|(_, at)| self.columns[**at].rank);
            match least.filter(|(_, at)| self.columns[**at].rank > 0) {
                Some((place, _)) => drop(left.remove(place)),
                // The first is always there, as far as it goes.
                None if left.len() < 2 => {
                    shown.iter_mut().for_each(|(_, wide)| *wide = (*wide).min(room));
                    return shown;
                }
                None => {
                    let rest: usize = shown[1..].iter().map(|(_, wide)| wide + GAP).sum();
                    if rest < room {
                        shown[0].1 = shown[0].1.min(room - rest);
                        return shown;
                    }
                    left.pop();
                }
            }
        }
    }

    /// Cuts what may be cut, the widest first; whether all of it fits then.
    fn narrow(&self, shown: &mut [Place], room: usize) -> bool {
        loop {
            let total: usize = shown.iter().map(|(_, wide)| wide + GAP).sum();
            let over = total.saturating_sub(GAP).saturating_sub(room);
            if over == 0 {
                return true;
            }
            let widest = shown
                .iter_mut()
                .filter(|(at, wide)| self.columns[*at].cut && *wide > LEAST)
                .max_by_key(|(_, wide)| *wide);
            let Some((_, wide)) = widest else { return false };
            *wide = wide.saturating_sub(over).max(LEAST);
        }
    }

    /// Draws it: a line of titles, and as many rows as there is room for around the chosen one.
    pub(super) fn draw(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        look: Look,
        view: &View,
        active: bool,
    ) {
        if area.is_empty() {
            return;
        }
        let shown = self.widths(area.width.into());
        let title = |at: usize| {
            let column = &self.columns[at];
            let mark = look.glyphs().sorted[usize::from(!view.ascending)];
            match view.sort {
                Some(sorted) if sorted == at && active => format!("{}{mark}", column.title),
                _ => column.title.to_owned(),
            }
        };
        let heads: Vec<(String, Style)> =
            shown.iter().map(|(at, _)| (title(*at), look.accent())).collect();
        self.line(buffer, area, look, (&shown, &heads), None);
        if self.rows.is_empty() {
            put(
                buffer,
                Rect { y: area.y + 1, ..area },
                area,
                &self.empty,
                look.style(Tone::Quiet),
                look,
            );
            return;
        }
        let room = usize::from(area.height) - 1;
        let chosen = self.chosen(view).unwrap_or(0);
        let first = (chosen + 1).saturating_sub(room);
        for (line, (at, row)) in self.rows.iter().enumerate().skip(first).take(room).enumerate() {
            let y = area.y + 1 + line as u16;
            let is_chosen = active && at == chosen;
            let cells: Vec<(String, Style)> = shown
                .iter()
                .map(|(at, _)| match row.cells.get(*at) {
                    Some(cell) => (cell.text.clone(), look.style(cell.tone)),
                    None => (String::new(), Style::new()),
                })
                .collect();
            let mark = is_chosen.then(|| Style::new().add_modifier(Modifier::REVERSED));
            let place = Rect { y, height: 1, ..area };
            self.line(buffer, place, look, (&shown, &cells), mark);
        }
    }

    fn line(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        look: Look,
        (shown, cells): (&[Place], &[(String, Style)]),
        mark: Option<Style>,
    ) {
        let mut x = area.x;
        for ((at, wide), (text, style)) in shown.iter().zip(cells) {
            let text = fit(&look.clean(text), *wide, look);
            let free = wide.saturating_sub(width(&text)) as u16;
            let from = if self.columns[*at].right { x.saturating_add(free) } else { x };
            let place = Rect { x: from, ..area };
            put(buffer, place, area, &text, *style, look);
            x = x.saturating_add((wide + GAP) as u16);
        }
        if let Some(mark) = mark {
            buffer.set_style(Rect { height: 1, ..area }.intersection(*buffer.area()), mark);
        }
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, cut to a width.
pub(super) fn fit(text: &str, room: usize, look: Look) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    if room == 0 {
        return String::new();
    }
    let mut cut = String::new();
    let mut taken = 0;
    for c in text.chars() {
        let wide = width(c.encode_utf8(&mut [0; 4]));
        if taken + wide + 1 > room {
            break;
        }
        taken += wide;
        cut.push(c);
    }
    cut.push(look.glyphs().cut);
    cut
}

/// Writes a text at the beginning of a place, as far as it is within the area and the screen.
pub(super) fn put(
    buffer: &mut Buffer,
    place: Rect,
    area: Rect,
    text: &str,
    style: Style,
    look: Look,
) -> u16 {
    let area = area.intersection(*buffer.area());
    let inside = place.x >= area.left()
        && place.x < area.right()
        && place.y >= area.top()
        && place.y < area.bottom();
    if !inside {
        return place.x;
    }
    let room = area.right() - place.x;
    let text = fit(&look.clean(text), room.into(), look);
    buffer.set_stringn(place.x, place.y, text, room.into(), style).0
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::cut("NAME", 0),
        Column::right("COUNT", 0, 0),
        Column::right("RATE", 1, 0),
        Column::left("MORE", 2),
    ];
    const LOOK: Look = Look { colour: false, unicode: true };

    fn grid(rows: &[(&str, f64)]) -> Grid {
        let row = |(name, value): &(&str, f64)| Row {
            id: (*name).to_owned(),
            cells: vec![
                Cell::text(*name, Tone::Plain),
                Cell::number(*value, value.to_string(), Tone::Plain),
                Cell::number(-value, "x", Tone::Plain),
                Cell::text("more", Tone::Plain),
            ],
        };
        Grid { columns: COLUMNS, rows: rows.iter().map(row).collect(), empty: "nothing".into() }
    }

    fn shown(grid: &Grid, width: u16, height: u16, view: &View) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        grid.draw(&mut buffer, area, LOOK, view, true);
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn columns_give_way() {
        let grid = grid(&[("a-long-name-of-an-api", 5.0), ("b", 123.0)]);
        let view = View::default();
        assert_eq!(
            shown(&grid, 60, 3, &view),
            [
                "NAME                    COUNT   RATE  MORE",
                "a-long-name-of-an-api       5      x  more",
                "b                         123      x  more",
            ]
            .map(str::to_owned)
        );
        for (width, title) in [
            (40, "NAME                 COUNT   RATE  MORE"),
            (35, "NAME                   COUNT   RATE"),
            (29, "NAME             COUNT   RATE"),
            (24, "NAME               COUNT"),
            (16, "NAME       COUNT"),
            (10, "N…   COUNT"),
            (5, "NAME"),
            (3, "NA…"),
        ] {
            assert_eq!(shown(&grid, width, 2, &view)[0], title, "{width}");
        }
        for width in 0..12 {
            for height in 0..4 {
                shown(&grid, width, height, &view);
            }
        }
    }

    #[test]
    fn sorted_filtered_and_chosen() {
        let mut view = View { sort: Some(1), ascending: false, chosen: Some("b".into()) };
        let rows = [("a", 1.0), ("b", 2.0), ("c", 30.0), ("d", 4.0)];
        let order = |view: &View, filter: &str| {
            let mut grid = grid(&rows);
            grid.arrange(view, filter);
            let at = grid.chosen(view);
            let names: String = grid.rows.iter().map(|row| row.id.as_str()).collect();
            (names, at)
        };
        assert_eq!(order(&view, ""), ("cdba".to_owned(), Some(2)));
        view.ascending = true;
        assert_eq!(order(&view, ""), ("abdc".to_owned(), Some(1)));
        assert_eq!(order(&view, "3"), ("c".to_owned(), Some(0)), "what is chosen is filtered away");
        assert_eq!(order(&view, "zzz"), (String::new(), None));
        view.sort = Some(0);
        assert_eq!(order(&view, "MORE").0, "abcd", "case does not matter");
        // What is chosen is always on the screen.
        view.chosen = Some("d".into());
        let mut grid = grid(&rows);
        grid.arrange(&view, "");
        let lines = shown(&grid, 40, 3, &view);
        assert!(lines[1].starts_with('c') && lines[2].starts_with('d'), "{lines:?}");
    }
}
