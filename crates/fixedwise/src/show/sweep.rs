//! A sweep as heat maps of characters.

use super::{
    numbers::{grouped, percent},
    report::Style,
    table::{add_line, styled},
};
use crate::result::{SweepLayer, SweepPoint, SweepResult};
use std::collections::BTreeSet;

/// Most columns of numbers; more are shown as shades.
const MAX_COLUMNS: usize = 14;

impl SweepResult {
    /// A heat map for each layer, bit widths down and binary points across, of at most 100 columns
    /// where there are no more than 45 binary points; with ANSI colors where `color` says so.
    ///
    /// ```
    /// assert!(fixedwise::SweepResult::default().to_text(false).contains("float"));
    /// ```
    pub fn to_text(&self, color: bool) -> String {
        let mut out = String::new();
        let root = if self.quantizer == "square-root" { ", square roots" } else { "" };
        add_line(
            &mut out,
            format_args!(
                "{}  {} of each layer, {} semantics{root}; {} images, float {}",
                styled(&self.model.name, Style::Bold, color),
                self.tensor.name(),
                self.semantics,
                grouped(self.images),
                percent(self.float_accuracy),
            ),
        );
        let is_wide = self.layers.iter().any(|layer| layer.fracs().len() > MAX_COLUMNS);
        for layer in &self.layers {
            add_line(&mut out, format_args!("\n{}", styled(&layer.name, Style::Bold, color)));
            layer.render(is_wide, color, &mut out);
        }
        let legend = if is_wide {
            "columns: F, rows: BW; █ at least 99 % of the float accuracy, ▓ 95 %, ▒ 80 %, ░ 50 %"
        } else {
            "accuracy in percent; columns: F, rows: BW"
        };
        add_line(&mut out, format_args!("\n  {legend}; · not measured or not proved to fit"));
        add_line(
            &mut out,
            format_args!("{} plans measured, {:.1} s", grouped(self.evaluations), self.seconds),
        );
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

    fn render(&self, is_wide: bool, color: bool, out: &mut String) {
        let fracs = self.fracs();
        let Some(first) = fracs.first() else {
            add_line(out, format_args!("  no format of the grid is valid"));
            return;
        };
        let mut head = "   BW".to_owned();
        if is_wide {
            head.push_str(&format!("  F{first} to F{}", fracs[fracs.len() - 1]));
        } else {
            fracs.iter().for_each(|frac| head.push_str(&format!("{:>6}", format!("F{frac}"))));
        }
        add_line(out, format_args!("{}", styled(&head, Style::Dim, color)));
        let widths: BTreeSet<u8> = self.points.iter().map(|point| point.bits).collect();
        let held = self.held.and_then(|held| self.points.get(usize::try_from(held).ok()?));
        for bits in widths {
            let mut row = format!("{bits:>5}");
            if is_wide {
                row.push_str("  ");
            }
            for &frac in &fracs {
                let point = self.points.iter().find(|p| (p.bits, p.frac) == (bits, frac));
                row.push_str(&match point {
                    None if is_wide => "··".to_owned(),
                    None => format!("{:>6}", "·"),
                    Some(point) if is_wide => shade(point.ratio).repeat(2),
                    Some(point) => format!("{:>6.1}", point.accuracy * 100.0),
                });
            }
            add_line(out, format_args!("{}", row.trim_end()));
        }
        let best = self.points.iter().max_by(|a, b| {
            a.correct.cmp(&b.correct).then(b.bits.cmp(&a.bits)).then(b.frac.cmp(&a.frac))
        });
        for (what, point) in [("best", best), ("held", held)] {
            if let Some(SweepPoint { bits, frac, signed, accuracy, .. }) = point {
                let sign = if *signed { 's' } else { 'u' };
                let accuracy = percent(*accuracy);
                add_line(out, format_args!("  {what} {sign}{bits} F{frac}: {accuracy}"));
            }
        }
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
    use crate::result::layers;
    use fixedwise_search::strategies::{Kind, TraceEntry};

    fn entry(name: &str, bits: u8, frac: i8, images: usize, correct: usize) -> TraceEntry {
        TraceEntry {
            name: name.to_owned(),
            kind: Kind::Weights,
            bits,
            frac,
            signed: true,
            images,
            correct,
            lost: 1,
            gained: 2,
            relative_loss: None,
            chosen: (bits, frac) == (3, 5),
        }
    }

    fn result() -> SweepResult {
        let trace = [
            entry("a", 2, 4, 200, 50),
            entry("a", 2, 5, 0, 0),
            entry("a", 3, 4, 200, 160),
            entry("a", 3, 5, 200, 100),
            entry("b", 2, 4, 0, 0),
        ];
        SweepResult { layers: layers(&trace, 0.8), float_accuracy: 0.8, ..SweepResult::default() }
    }

    #[test]
    fn the_text_is_a_map_of_each_layer() {
        let text = result().to_text(false);
        for expected in [
            "   BW    F4    F5\n    2  25.0     ·\n    3  80.0  50.0\n",
            "best s3 F4: 80.00 %\n  held s3 F5: 50.00 %",
            "no format of the grid is valid",
        ] {
            assert!(text.contains(expected), "{expected} in:\n{text}");
        }
        let trace: Vec<_> = (-10..10).map(|frac| entry("a", 4, frac, 100, 78)).collect();
        let wide = SweepResult { layers: layers(&trace, 0.8), ..result() };
        assert!(wide.to_text(false).contains("F-10 to F9"), "{}", wide.to_text(false));
        assert!(wide.to_text(false).contains(&format!("    4  {}\n", "▓▓".repeat(20))));
        assert!(wide.to_text(true).contains('\x1b'));
    }
}
