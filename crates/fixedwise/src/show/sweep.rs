//! A sweep as heat maps of characters.

use super::{
    first::first_result,
    numbers::{grouped, percent},
    report::Style,
    table::{add_line, styled},
    text::TextOptions,
};
use crate::{
    fold::folded,
    result::{AGREEMENT, SweepLayer, SweepPoint, SweepResult},
};
use std::collections::BTreeSet;

/// Columns before the first binary point, and those that a number, a wide shade and a narrow one take.
const HEAD: usize = 7;
const NUMBER: usize = 6;
const WIDE: usize = 2;
const NARROW: usize = 1;

impl SweepResult {
    /// A heat map for each layer, bit widths down and binary points across: numbers where there is room
    /// for them, else shades.
    ///
    /// ```
    /// use fixedwise::{SweepResult, TextOptions};
    ///
    /// let text = SweepResult::default().to_text(&TextOptions::default());
    /// assert!(text.contains("float"));
    /// ```
    pub fn to_text(&self, options: &TextOptions) -> String {
        let TextOptions { columns, color, .. } = *options;
        let mut out = String::new();
        let mut add = |text: &str, indent: &str, style: Style| {
            for line in folded(text, columns, indent) {
                add_line(&mut out, &styled(&line, style, color));
            }
        };
        let root = if self.quantizer == "square-root" { ", square roots" } else { "" };
        let is_agreement = self.metric == AGREEMENT;
        let images = grouped(self.images);
        let measured = if is_agreement {
            format!("{images} images without labels")
        } else {
            format!("{images} images, float {}", percent(self.float_accuracy))
        };
        let about = format!(
            "{}  {} of each layer, {} semantics{root}; {measured}",
            self.model.name,
            self.tensor.name(),
            self.semantics,
        );
        add(&about, "  ", Style::Bold);
        if let (Some(fed), Some(float)) = (&self.preprocessing, &self.float_network) {
            add(&first_result(fed, float), "  ", Style::Dim);
            float.warnings.iter().for_each(|text| add(&format!("! {text}"), "    ", Style::Plain));
        }
        let most = self.layers.iter().map(|layer| layer.fracs().len()).max().unwrap_or(0);
        let sizes = [NUMBER, WIDE, NARROW];
        let fits = |size: &usize| HEAD + most * size <= columns;
        let size = sizes.into_iter().find(fits).unwrap_or(NARROW);
        for layer in &self.layers {
            add("", "", Style::Plain);
            add(&layer.name, "  ", Style::Bold);
            for (line, style) in layer.lines(size, columns) {
                add(&line, "", style);
            }
        }
        let what = if is_agreement { "agreement with the float network" } else { "accuracy" };
        let legend = if size == NUMBER {
            format!("{what} in percent; columns: F, rows: BW")
        } else {
            let of = if is_agreement { "agreement" } else { "of the float accuracy" };
            format!("columns: F, rows: BW; █ at least 99 % {of}, ▓ 95 %, ▒ 80 %, ░ 50 %")
        };
        add("", "", Style::Plain);
        add(&format!("  {legend}; · not measured or not proved to fit"), "  ", Style::Plain);
        let plans = grouped(self.evaluations);
        add(&format!("{plans} plans measured, {:.1} s", self.seconds), "  ", Style::Plain);
        out
    }
}

impl SweepLayer {
    /// Every binary point of it, the lowest first.
    fn fracs(&self) -> Vec<i8> {
        let fracs: BTreeSet<i8> = self.points.iter().map(|point| point.frac).collect();
        match (fracs.first(), fracs.last()) {
            (Some(&first), Some(&last)) => (first..=last).collect(),
            _ => Vec::new(),
        }
    }

    /// The map, `size` columns for each binary point, and what is best.
    fn lines(&self, size: usize, columns: usize) -> Vec<(String, Style)> {
        let fracs = self.fracs();
        if fracs.is_empty() {
            return vec![("  no format of the grid is valid".to_owned(), Style::Plain)];
        }
        let mut lines = Vec::new();
        // More binary points than fit stand below each other.
        for part in fracs.chunks((columns.saturating_sub(HEAD) / size).max(1)) {
            lines.extend(self.map(part, size));
        }
        let held = self.held.and_then(|held| self.points.get(usize::try_from(held).ok()?));
        let best = self.points.iter().max_by(|a, b| {
            a.correct.cmp(&b.correct).then(b.bits.cmp(&a.bits)).then(b.frac.cmp(&a.frac))
        });
        for (what, point) in [("best", best), ("held", held)] {
            if let Some(SweepPoint { bits, frac, signed, accuracy, .. }) = point {
                let sign = if *signed { 's' } else { 'u' };
                let accuracy = percent(*accuracy);
                lines.push((format!("  {what} {sign}{bits} F{frac}: {accuracy}"), Style::Plain));
            }
        }
        lines
    }

    fn map(&self, fracs: &[i8], size: usize) -> Vec<(String, Style)> {
        let is_number = size == NUMBER;
        let mut head = "   BW".to_owned();
        if is_number {
            fracs.iter().for_each(|frac| head.push_str(&format!("{:>6}", format!("F{frac}"))));
        } else {
            head.push_str(&format!("  F{} to F{}", fracs[0], fracs[fracs.len() - 1]));
        }
        let mut lines = vec![(head, Style::Dim)];
        let widths: BTreeSet<u8> = self.points.iter().map(|point| point.bits).collect();
        for bits in widths {
            let mut row = format!("{bits:>5}");
            if !is_number {
                row.push_str("  ");
            }
            for &frac in fracs {
                let point = self.points.iter().find(|p| (p.bits, p.frac) == (bits, frac));
                row.push_str(&match point {
                    None if is_number => format!("{:>6}", "·"),
                    None => "·".repeat(size),
                    Some(point) if is_number => format!("{:>6.1}", point.accuracy * 100.0),
                    Some(point) => shade(point.ratio).repeat(size),
                });
            }
            lines.push((row.trim_end().to_owned(), Style::Plain));
        }
        lines
    }
}

fn shade(ratio: f64) -> &'static str {
    match ratio {
        0.99.. => "█",
        0.95.. => "▓",
        0.8.. => "▒",
        0.5.. => "░",
        _ => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fold::text_width,
        result::{entry, layers, swept},
    };

    #[test]
    fn the_text_is_a_map_of_each_layer() {
        let text = swept().to_text(&TextOptions::default());
        for expected in [
            "   BW    F4    F5\n    2  25.0     ·\n    3  80.0  50.0\n",
            "best s3 F4: 80.00 %\n  held s3 F5: 50.00 %",
            "no format of the grid is valid",
            "accuracy in percent",
        ] {
            assert!(text.contains(expected), "{expected} in:\n{text}");
        }
        let colored = swept().to_text(&TextOptions { color: true, ..TextOptions::default() });
        assert!(colored.contains('\x1b'));
    }

    #[test]
    fn a_map_has_room_for_every_binary_point() {
        let of = |fracs: std::ops::Range<i8>| {
            let trace: Vec<_> = fracs.map(|frac| entry("a", 4, frac, 100, 78)).collect();
            SweepResult { layers: layers(&trace, 0.8), ..swept() }
        };
        for (fracs, expected) in [
            (-10..2, "    4  78.0"),
            (-10..10, "  F-10 to F9\n    4  ▓▓▓▓▓▓▓▓"),
            (-50..23, "  F-50 to F22\n    4  ▓▓▓▓"),
            (-100..100, "  F-27 to F45\n    4  ▓▓▓▓"),
        ] {
            let text = of(fracs).to_text(&TextOptions::default());
            assert!(text.contains(expected), "{expected} in:\n{text}");
            assert!(text.lines().all(|line| text_width(line) <= 80), "{text}");
        }
        let wide = of(-10..10).to_text(&TextOptions { columns: 130, ..TextOptions::default() });
        assert!(wide.contains("    4  78.0"), "{wide}");
    }

    #[test]
    fn images_without_labels_have_no_accuracy() {
        let metric = AGREEMENT.to_owned();
        let text = SweepResult { metric, ..swept() }.to_text(&TextOptions::default());
        assert!(text.contains("agreement") && !text.contains("accuracy"), "{text}");
        assert!(!text.contains("float 80.00 %"), "{text}");
    }
}
