//! A plan on each part of a data set, as a table.

use super::{
    first::statements,
    numbers::{grouped, interval_text, percent},
    report::{Align, Cell, Column, Section, Style, Table},
    text::{TextOptions, text},
};
use crate::result::{AGREEMENT, Generalization, SeedResult, SetResult, Spread};

impl Generalization {
    /// A table for people, a row for each part.
    ///
    /// ```
    /// use fixedwise::{Generalization, TextOptions};
    ///
    /// let text = Generalization::default().to_text(&TextOptions::default());
    /// assert!(text.contains("loss"));
    /// ```
    pub fn to_text(&self, options: &TextOptions) -> String {
        let about = format!("strategy {}, {} semantics", self.strategy, self.semantics);
        let title = self.model.name.clone();
        let head = Section {
            title,
            about: Some(about.into()),
            statements: statements(self.preprocessing.as_ref(), self.float_network.as_ref()),
            ..Section::default()
        };
        let value = self.max_loss.value * 100.0;
        let (bound, note) = match (self.max_loss.kind.as_str(), self.metric == AGREEMENT) {
            ("points", _) => ("percentage points", None),
            (_, true) => (
                "% of the images",
                Some(
                    "no labels: agreement is the share of images with the class of the float network",
                ),
            ),
            (_, false) => ("% of the float accuracy", None),
        };
        let bound = format!("the bound is a loss of {value} {bound}; {:.1} s", self.seconds);
        let notes = note.into_iter().map(Into::into).chain([bound.into()]).collect();
        let parts = Section { table: Some(self.table()), notes, ..Section::default() };
        let mut sections = vec![head, parts];
        if let Some(spread) = &self.spread {
            let note = "each search with its seed, on its part; the deviation is that of one seed's number";
            sections.push(Section {
                table: Some(self.seeds(spread)),
                notes: vec![note.into()],
                ..Section::default()
            });
        }
        text(&sections, options)
    }

    /// A row for each seed, the mean and the standard deviation.
    fn seeds(&self, spread: &Spread) -> Table {
        let columns = vec![
            Column::new("seed", Align::Left, Style::Plain),
            Column::right("part", Style::Dim).optional(1),
            Column::right("memory saved", Style::Plain),
            Column::right("bit products saved", Style::Plain),
            Column::right("loss", Style::Plain),
            Column::right("loss, other parts", Style::Plain),
        ];
        let row = |name: String, part: String, numbers: [f64; 4]| {
            let numbers = numbers.map(|number| Cell::number(percent(number)));
            [Cell::text(name), Cell::text(part)].into_iter().chain(numbers).collect()
        };
        let of_seed = |seed: &SeedResult| {
            let losses = [seed.tuned.relative_loss, seed.unseen.relative_loss];
            let numbers = [seed.memory_reduction, seed.operand_reduction, losses[0], losses[1]];
            row(seed.seed.to_string(), seed.part.to_string(), numbers)
        };
        let mut rows: Vec<Vec<Cell>> = self.seeds.iter().map(of_seed).collect();
        let Spread { memory_reduction, operand_reduction, tuned_loss, unseen_loss } = *spread;
        let all = [memory_reduction, operand_reduction, tuned_loss, unseen_loss];
        rows.push(row("mean".to_owned(), String::new(), all.map(|of| of.mean)));
        rows.push(row("deviation".to_owned(), String::new(), all.map(|of| of.deviation)));
        Table { columns, rows }
    }

    fn table(&self) -> Table {
        let is_agreement = self.metric == AGREEMENT;
        let mut columns = vec![
            Column::new("part", Align::Left, Style::Plain),
            Column::right("images", Style::Dim).optional(2),
        ];
        if is_agreement {
            columns.push(Column::right("agreement", Style::Plain));
        } else {
            columns.push(Column::right("float", Style::Plain).optional(1));
            columns.push(Column::right("fixed", Style::Plain));
        }
        columns.extend([
            Column::right("loss", Style::Plain),
            Column::right("95 % interval", Style::Plain),
            Column::new("bound", Align::Left, Style::Plain),
        ]);
        let row = |name: String, images: String, set: &SetResult, bound: &str| {
            let mut row = vec![Cell::text(name), Cell::text(images)];
            if !is_agreement {
                row.push(Cell::number(percent(set.float)));
            }
            row.extend([
                Cell::number(percent(set.fixed)),
                Cell::number(percent(set.relative_loss)),
                Cell::text(interval_text(set.interval95)),
                Cell::text(bound),
            ]);
            row
        };
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for (idx, part) in self.parts.iter().enumerate() {
            let tuned = if part.tuned { ", tuned on" } else { "" };
            let bound = if part.bound_met { "kept" } else { "missed" };
            let images = format!("{}..{}", part.from, part.to);
            rows.push(row(format!("{}{tuned}", idx + 1), images, &part.accuracy, bound));
        }
        rows.push(row("all other parts".to_owned(), grouped(self.unseen.n), &self.unseen, ""));
        Table { columns, rows }
    }
}
