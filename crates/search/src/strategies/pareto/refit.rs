//! A plan whose formats are given, rounded anew.

use super::{network::Network, options::ParetoOptions, prepared::Prepared, widths::Items};
use crate::{error::SearchError, reconstruct::Calibration};
use fixedwise_graph::Plan;

/// The plan of the formats that the options keep, as the search builds its plans: layer after layer the weights
/// are rounded for what the layers before really compute. Tensors of which nothing is kept are as wide as they may
/// be. `told` is called after each layer.
///
/// # Errors
/// Where the plan makes no integer network, or the search was stopped.
pub fn refit(
    prepared: &Prepared,
    calibration: &Calibration,
    options: &ParetoOptions,
    told: &dyn Fn(),
) -> Result<Plan, SearchError> {
    let mut items = Items::new(&prepared.graph, options);
    if let Some(known) = &options.known {
        items.take_points(known);
    }
    let mut widths = items.widest();
    for item in 0..items.list.len() {
        let bits = widths.bits[item];
        items.set(&mut widths, item, bits);
    }
    let built = Network::new(prepared, calibration, options).build(&widths, &items, told)?;
    Ok(prepared.plan(built.plan))
}
