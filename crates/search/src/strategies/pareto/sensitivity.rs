//! What every width of every tensor does alone.

use super::{
    Search, Standing,
    items::{Items, Widths},
    network::Part,
};
use crate::{
    error::SearchError,
    evaluate::Oracle,
    strategies::{Event, Kind, Sensitivity, WidthEffect},
};

/// By item, the divergence that each of its widths adds, the narrowest first.
pub(super) type Curves = Vec<Vec<(u8, f64)>>;

/// Divergence below which wider is no better, in nats.
const NOTHING: f64 = 5e-5;
/// Divergence from which on other binary points are tried.
const MUCH: f64 = 1e-3;
/// Another binary point must lower the divergence by so much.
const GAIN: f64 = 0.9;

impl<O: Oracle> Search<'_, '_, O> {
    /// Measures every width of every tensor, all others as they stand.
    pub(super) fn sensitivities(&mut self, base: &Standing) -> Result<Curves, SearchError> {
        let mut curves = vec![Vec::new(); self.items.list.len()];
        for id in 0..self.network.graph().nodes.len() {
            if let Some(item) = self.items.find(id, Kind::Weights) {
                let layer = self.network.layer(&base.built.plan, id)?;
                let mut parts = Vec::new();
                for bits in self.items.list[item].bits.clone() {
                    let mut plan = base.built.plan.clone();
                    layer.round(&mut plan, bits, &self.options.rounding)?;
                    parts.push((bits, Part::of(&plan, self.network.graph(), id)));
                }
                for (bits, part) in parts {
                    self.measured(item, bits)?;
                    if is_nothing(&curves[item]) {
                        curves[item].push((bits, 0.0));
                        continue;
                    }
                    let mut plan = base.built.plan.clone();
                    part.put(&mut plan);
                    let added = self.added_exactly(base, &plan, id)?;
                    curves[item].push((bits, added.max(0.0)));
                }
            }
            if let Some(item) = self.items.find(id, Kind::Activations) {
                let tensor = self.items.list[item].tensor.clone();
                for bits in self.items.list[item].bits.clone() {
                    self.measured(item, bits)?;
                    if is_nothing(&curves[item]) {
                        curves[item].push((bits, 0.0));
                        continue;
                    }
                    let mut least = f64::INFINITY;
                    for shift in [0, -1, 1] {
                        if shift != 0 && least < MUCH {
                            break;
                        }
                        let format = self.network.activation(&tensor, bits, shift);
                        let plan =
                            self.network.with_activation(&base.built.plan, &tensor, format)?;
                        let added = self.added_exactly(base, &plan, id)?;
                        if shift == 0 || added < GAIN * least {
                            least = added.max(0.0);
                            self.items.list[item].shift.insert(bits, shift);
                        }
                    }
                    curves[item].push((bits, least));
                }
            }
        }
        for curve in &mut curves {
            // A width that happens to do worse than a narrower one could hold the same values.
            let mut least = f64::INFINITY;
            for (_, added) in curve {
                least = least.min(*added);
                *added = least;
            }
        }
        Ok(curves)
    }

    fn measured(&mut self, item: usize, bits: u8) -> Result<(), SearchError> {
        self.done += 1;
        let (done, expected) = (self.done, self.expected);
        let tensor = self.items.list[item].tensor.clone();
        let plans = self.plans();
        self.tell(&Event::Sensitivity { tensor: &tensor, bits, done, expected, plans })
    }
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

/// Whether a curve has come down to zero.
fn is_nothing(curve: &[(u8, f64)]) -> bool {
    curve.last().is_some_and(|&(_, added)| added < NOTHING)
}
