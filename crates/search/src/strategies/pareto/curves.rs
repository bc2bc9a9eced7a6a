//! What every width of every tensor does alone.

use super::{
    options::Known,
    widths::{Items, Widths},
};
use crate::strategies::outcome::{Sensitivity, WidthEffect};

/// By item, the divergence that each of its widths adds, the narrowest first.
pub(super) type Curves = Vec<Vec<(u8, f64)>>;

/// What a width adds to the divergence, alone.
pub(super) fn added(curves: &Curves, item: usize, bits: u8) -> f64 {
    curves[item].iter().find(|(b, _)| *b == bits).map_or(0.0, |(_, added)| *added)
}

/// What widths add to the divergence, as if no tensor's harm depended on another's.
pub(super) fn divergence_of(widths: &Widths, curves: &Curves) -> f64 {
    widths.bits.iter().enumerate().map(|(i, &bits)| added(curves, i, bits)).sum()
}

/// The curves by name, with the width that each tensor has in the end.
pub(super) fn describe(items: &Items, curves: &Curves, chosen: &Widths) -> Vec<Sensitivity> {
    let all = items.list.iter().zip(curves).zip(&chosen.bits).enumerate();
    all.map(|(i, ((item, curve), &bits))| Sensitivity {
        name: item.tensor.name.clone(),
        kind: item.tensor.kind,
        bits,
        widths: curve
            .iter()
            .map(|&(bits, divergence)| WidthEffect {
                bits,
                divergence,
                shift: items.shift(i, bits),
            })
            .collect(),
    })
    .collect()
}

/// The curves of a search's items, and their binary points, by an earlier search; `None` where one was
/// not measured.
pub(super) fn earlier(known: &Known, items: &mut Items) -> Option<Curves> {
    let mut curves = Vec::with_capacity(items.list.len());
    for item in &mut items.list {
        let (name, kind) = (&item.tensor.name, item.tensor.kind);
        let found = known.sensitivity.iter().find(|s| s.name == *name && s.kind == kind)?;
        let mut curve = Vec::with_capacity(item.bits.len());
        for &bits in &item.bits {
            let width = found.widths.iter().find(|width| width.bits == bits)?;
            item.shift.insert(bits, width.shift);
            curve.push((bits, width.divergence));
        }
        curves.push(curve);
    }
    Some(curves)
}
