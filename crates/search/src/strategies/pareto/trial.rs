//! How well the channels of a prepared network go together.

use super::{network::Network, options::ParetoOptions, prepared::Prepared, widths::Items};
use crate::{
    error::SearchError, evaluate::Evaluator, reconstruct::Calibration, strategies::tensors::legal,
};

/// The divergence of a plan of few bits for a prepared network: the lower, the better its channels
/// go together; infinite where the plan makes no integer network. `told` is called after each layer.
///
/// # Errors
/// Where the search was stopped.
pub fn trial(
    prepared: &Prepared,
    calibration: &Calibration,
    probe: &mut Evaluator,
    options: &ParetoOptions,
    told: &dyn Fn(),
) -> Result<f64, SearchError> {
    let items = Items::new(&prepared.graph, options);
    let mut widths = items.widest();
    let bits = options.tuning.balance_bits;
    for item in 0..items.list.len() {
        if items.list[item].bits.contains(&bits) {
            items.set(&mut widths, item, bits);
        }
    }
    let network = Network::new(prepared, calibration, options);
    let Some(built) = legal(network.build(&widths, &items, told))? else {
        return Ok(f64::INFINITY);
    };
    Ok(legal(probe.divergence(&built.plan, None))?.unwrap_or(f64::INFINITY))
}
