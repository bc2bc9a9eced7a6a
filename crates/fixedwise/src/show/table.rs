//! Text in columns, colored where the reader is a terminal.

use super::report::{Align, Style};
use std::fmt::Write as _;

/// Adds a line to a text.
pub(crate) fn add_line(text: &mut String, line: std::fmt::Arguments) {
    text.write_fmt(line).expect("a string takes everything");
    text.push('\n');
}

/// `text` in `style`, if there is color at all.
pub(crate) fn styled(text: &str, style: Style, color: bool) -> String {
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

/// Rows under a heading, each column as wide as it needs to be.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align, Style)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align, Style)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, one text for each column.
    pub(crate) fn row(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a text for each column");
        self.rows.push(row);
    }

    /// Every line indented by two, columns two apart.
    pub(crate) fn render(&self, color: bool, out: &mut String) {
        let width = |column: usize| {
            let rows = self.rows.iter().map(|row| row[column].chars().count());
            rows.max().unwrap_or(0).max(self.columns[column].0.chars().count())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut line = |texts: &mut dyn Iterator<Item = (&str, Style)>| {
            let mut plain = String::new();
            let mut shown = String::new();
            for ((text, style), (&width, &(_, align, _))) in
                texts.zip(widths.iter().zip(&self.columns))
            {
                let padded = match align {
                    Align::Left => format!("{text:<width$}"),
                    Align::Right => format!("{text:>width$}"),
                };
                // Blanks at the end of a line are dropped, so they wait for the next text.
                let gap = if plain.is_empty() { "" } else { "  " };
                plain.push_str(gap);
                plain.push_str(&padded);
                shown.push_str(gap);
                shown.push_str(&styled(&padded, style, color));
            }
            let line = if color { &shown } else { &plain };
            add_line(out, format_args!("  {}", line.trim_end()));
        };
        line(&mut self.columns.iter().map(|&(name, _, _)| (name, Style::Dim)));
        for row in &self.rows {
            let texts = row.iter().zip(&self.columns);
            line(&mut texts.map(|(text, &(_, _, style))| (text.as_str(), style)));
        }
    }
}

/// `name`, shortened in its middle to `width`.
pub(crate) fn shortened(name: &str, width: usize) -> String {
    let count = name.chars().count();
    if count <= width {
        return name.to_owned();
    }
    let (head, tail) = (width / 3, width - width / 3 - 1);
    let head: String = name.chars().take(head).collect();
    let tail: String = name.chars().skip(count - tail).collect();
    format!("{head}…{tail}")
}

/// Bits as a bar, one block for two of them.
pub(crate) fn bar(bits: u8) -> String {
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
    }

    #[test]
    fn columns_are_aligned_with_and_without_color() {
        let columns = [("name", Align::Left, Style::Plain), ("n", Align::Right, Style::Weights)];
        let mut table = Table::new(&columns);
        table.row(vec!["a".to_owned(), "1".to_owned()]);
        table.row(vec!["longer".to_owned(), "100".to_owned()]);
        let mut plain = String::new();
        table.render(false, &mut plain);
        assert_eq!(plain, "  name      n\n  a         1\n  longer  100\n");
        let mut colored = String::new();
        table.render(true, &mut colored);
        assert!(colored.contains("\x1b[36m100\x1b[0m"), "{colored:?}");
    }
}
