//! Text in columns within the width of a terminal, colored where the reader is one.

use super::report::{Align, Column, Room, Style};
use crate::fold::{char_width, folded, text_width};

/// Blanks before a row, and between columns.
const INDENT: usize = 2;
const GAP: usize = 2;
/// Columns that names and folded texts keep before columns are left out for them, and at the least.
const NAME: usize = 16;
const FOLDED: usize = 26;
const LEAST: usize = 8;

/// Adds a line to a text.
pub(super) fn add_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// `text` in `style`, if there is color at all.
pub(super) fn styled(text: &str, style: Style, color: bool) -> String {
    let code = match style {
        Style::Plain => "",
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Bad => "31",
        Style::Weights => "36",
        Style::Activations => "35",
    };
    if !color || code.is_empty() || text.trim().is_empty() {
        text.to_owned()
    } else {
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Texts under a heading.
#[derive(Debug)]
pub(super) struct Grid<'a> {
    columns: &'a [Column],
    rows: Vec<Vec<String>>,
}

impl<'a> Grid<'a> {
    /// Every row has a text for each column.
    pub(super) fn new(columns: &'a [Column], rows: Vec<Vec<String>>) -> Self {
        Self { columns, rows }
    }

    /// The width that names have within `most` columns; absent where none are shown.
    pub(super) fn name_width(&self, most: usize) -> Option<usize> {
        let widths = self.widths(most);
        let name =
            |(column, width): (&Column, Option<usize>)| width.filter(|_| column.room == Room::Name);
        self.columns.iter().zip(widths).filter_map(name).min()
    }

    /// Adds the rows, none wider than `most` columns where names and folded texts leave room for the rest.
    pub(super) fn render(&self, most: usize, color: bool, out: &mut String) {
        let widths = self.widths(most);
        let mut add = |texts: &mut dyn Iterator<Item = (&str, Style)>| {
            let cells: Vec<_> = texts
                .zip(self.columns)
                .zip(&widths)
                .filter_map(|(((text, style), column), width)| {
                    let width = (*width)?;
                    let lines = match column.room {
                        Room::Folded => folded(text, width, ""),
                        _ => vec![text.to_owned()],
                    };
                    Some((lines, style, column.align, width))
                })
                .collect();
            let height = cells.iter().map(|(lines, ..)| lines.len()).max().unwrap_or(0);
            for idx in 0..height {
                let mut row = " ".repeat(INDENT);
                let mut blanks = 0;
                for (lines, style, align, width) in &cells {
                    let text = lines.get(idx).map_or("", String::as_str);
                    let missing = width.saturating_sub(text_width(text));
                    let before = if *align == Align::Right { missing } else { 0 };
                    // Blanks at the end of a line are dropped, so they wait for the next text.
                    if !text.is_empty() {
                        row.push_str(&" ".repeat(blanks + before));
                        row.push_str(&styled(text, *style, color));
                        blanks = 0;
                    }
                    blanks += GAP + if text.is_empty() { *width } else { missing - before };
                }
                add_line(out, row.trim_end());
            }
        };
        if self.columns.iter().any(|column| !column.title.is_empty()) {
            add(&mut self.columns.iter().map(|column| (column.title, Style::Dim)));
        }
        for row in &self.rows {
            let texts = row.iter().zip(self.columns);
            add(&mut texts.map(|(text, column)| (text.as_str(), column.style)));
        }
    }

    /// The width of each column within `most`; absent for those that are left out.
    fn widths(&self, most: usize) -> Vec<Option<usize>> {
        let natural: Vec<usize> = (0..self.columns.len())
            .map(|idx| {
                let rows = self.rows.iter().map(|row| text_width(&row[idx]));
                rows.max().unwrap_or(0).max(text_width(self.columns[idx].title))
            })
            .collect();
        let rooms: Vec<Room> = self.columns.iter().map(|column| column.room).collect();
        widths(&natural, &rooms, most)
    }
}

/// The width of each column within `most`, of columns that would like to be so wide.
fn widths(natural: &[usize], rooms: &[Room], most: usize) -> Vec<Option<usize>> {
    let usual = |idx: usize| match rooms[idx] {
        Room::Name => natural[idx].min(NAME),
        Room::Folded => natural[idx].min(FOLDED),
        Room::Full | Room::Optional(_) => natural[idx],
    };
    let mut widths: Vec<Option<usize>> = (0..rooms.len()).map(|idx| Some(usual(idx))).collect();
    let total = |widths: &[Option<usize>]| {
        let shown = widths.iter().flatten();
        INDENT + shown.map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    let rank = |room: &Room| if let Room::Optional(rank) = room { Some(*rank) } else { None };
    while total(&widths) > most {
        let shown = rooms.iter().zip(&widths).filter(|(_, width)| width.is_some());
        let Some(last) = shown.filter_map(|(room, _)| rank(room)).max() else { break };
        for (width, room) in widths.iter_mut().zip(rooms) {
            if rank(room) == Some(last) {
                *width = None;
            }
        }
    }
    // What is left goes to names, then to texts; what is missing they give.
    for room in [Room::Name, Room::Folded] {
        for idx in 0..rooms.len() {
            let Some(width) = widths[idx].filter(|_| rooms[idx] == room) else { continue };
            let others = total(&widths) - width;
            let least = width.min(LEAST);
            widths[idx] = Some(most.saturating_sub(others).clamp(least, natural[idx].max(least)));
        }
    }
    widths
}

/// `name`, shortened in its middle to `most` columns.
pub(crate) fn shortened(name: &str, most: usize) -> String {
    if text_width(name) <= most {
        return name.to_owned();
    }
    let (head, tail) = (most / 3, most.saturating_sub(most / 3 + 1));
    let mut left = head;
    let fits = |left: &mut usize, c: char| {
        let rest = left.checked_sub(char_width(c));
        *left = rest.unwrap_or(0);
        rest.is_some()
    };
    let head: String = name.chars().take_while(|&c| fits(&mut left, c)).collect();
    left = tail;
    let tail: Vec<char> = name.chars().rev().take_while(|&c| fits(&mut left, c)).collect();
    let tail: String = tail.into_iter().rev().collect();
    format!("{head}…{tail}")
}

/// Bits as a bar, one block for two of them.
pub(super) fn bar(bits: u8) -> String {
    let mut bar = "█".repeat(usize::from(bits.min(16) / 2));
    if bits < 16 && bits % 2 == 1 {
        bar.push('▌');
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_half_a_block_for_a_bit() {
        assert_eq!([1, 2, 5, 16, 32].map(bar), ["▌", "█", "██▌", "████████", "████████"]);
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("conv2d_1", 8), "conv2d_1");
        assert_eq!(shortened("block3/branch1/conv", 10), "blo…1/conv");
        assert_eq!(shortened("畳み込み層の名前", 9), "畳…名前");
        assert_eq!(shortened("abcdef", 1), "…");
    }

    #[test]
    fn columns_are_aligned_with_and_without_color() {
        let columns = [
            Column::new("name", Align::Left, Style::Plain),
            Column::new("n", Align::Right, Style::Weights),
        ];
        let rows = [["畳み", "1"], ["longer", "100"]].map(|row| row.map(str::to_owned).to_vec());
        let table = Grid::new(&columns, rows.to_vec());
        let mut plain = String::new();
        table.render(80, false, &mut plain);
        assert_eq!(plain, "  name      n\n  畳み      1\n  longer  100\n");
        let mut colored = String::new();
        table.render(80, true, &mut colored);
        assert!(colored.contains("\x1b[36m100\x1b[0m"), "{colored:?}");
    }

    #[test]
    fn what_says_least_is_left_out_first() {
        use Room::{Folded, Full, Name, Optional};
        let rooms = [Name, Optional(1), Full, Optional(2), Folded];
        let natural = [30, 8, 6, 10, 40];
        let of = |most| widths(&natural, &rooms, most);
        let total = |most| of(most).iter().flatten().map(|width| width + 2).sum::<usize>();
        assert_eq!(of(104), natural.map(Some));
        assert_eq!(of(90), [Some(30), Some(8), Some(6), Some(10), Some(26)]);
        assert_eq!(of(80), [Some(20), Some(8), Some(6), Some(10), Some(26)]);
        assert_eq!(of(70), [Some(22), Some(8), Some(6), None, Some(26)]);
        assert_eq!(of(60), [Some(22), None, Some(6), None, Some(26)]);
        assert_eq!(of(50), [Some(12), None, Some(6), None, Some(26)]);
        assert_eq!(of(10), [Some(8), None, Some(6), None, Some(8)]);
        assert!((28..200).all(|most| total(most) <= most));
    }

    #[test]
    fn a_folded_text_goes_on_below_itself() {
        let columns = [
            Column::new("n", Align::Right, Style::Plain),
            Column { room: Room::Folded, ..Column::new("", Align::Left, Style::Dim) },
        ];
        let row = ["17", "weights 25.0 kB, biases 0.5 kB, activations 27.9 kB"];
        let table = Grid::new(&columns, vec![row.map(str::to_owned).to_vec()]);
        let mut out = String::new();
        table.render(40, false, &mut out);
        let expected = "   n\n  17  weights 25.0 kB, biases 0.5 kB,\n      activations 27.9 kB\n";
        assert_eq!(out, expected);
    }
}
