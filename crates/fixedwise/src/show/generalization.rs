//! A plan on each part of a data set, as a table.

use super::{
    numbers::{grouped, percent},
    report::{Align, Style},
    table::{Table, add_line, styled},
};
use crate::result::{Generalization, SetResult};

impl Generalization {
    /// A table for people, a row for each part; with ANSI colors where `color` says so.
    ///
    /// ```
    /// assert!(fixedwise::Generalization::default().to_text(false).contains("relative loss"));
    /// ```
    pub fn to_text(&self, color: bool) -> String {
        use Align::{Left, Right};
        let mut out = String::new();
        add_line(
            &mut out,
            format_args!(
                "{}  strategy {}, {} semantics\n",
                styled(&self.model.name, Style::Bold, color),
                self.strategy,
                self.semantics
            ),
        );
        let mut table = Table::new(&[
            ("part", Left, Style::Plain),
            ("images", Right, Style::Dim),
            ("float", Right, Style::Plain),
            ("fixed", Right, Style::Plain),
            ("relative loss", Right, Style::Plain),
            ("95 % interval", Right, Style::Plain),
            ("bound", Left, Style::Plain),
        ]);
        let mut row = |name: String, images: String, set: &SetResult, bound: &str| {
            let [low, high] = set.interval95.map(percent);
            table.row(vec![
                name,
                images,
                percent(set.float),
                percent(set.fixed),
                percent(set.relative_loss),
                format!("{low} to {high}"),
                bound.to_owned(),
            ]);
        };
        for (idx, part) in self.parts.iter().enumerate() {
            let tuned = if part.tuned { ", tuned on" } else { "" };
            let bound = if part.bound_met { "kept" } else { "missed" };
            let images = format!("{}..{}", part.from, part.to);
            row(format!("{}{tuned}", idx + 1), images, &part.accuracy, bound);
        }
        row("all other parts".to_owned(), grouped(self.unseen.n), &self.unseen, "");
        table.render(color, &mut out);
        let bound = match self.max_loss.kind.as_str() {
            "points" => "percentage points",
            _ => "% of the float accuracy",
        };
        let value = self.max_loss.value * 100.0;
        add_line(
            &mut out,
            format_args!("\n  the bound is a loss of {value} {bound}; {:.1} s", self.seconds),
        );
        out
    }
}
