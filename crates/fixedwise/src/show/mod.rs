//! Results for people: text and pictures.

mod exported;
mod generalization;
mod inspection;
mod plot;
mod summary;
mod sweep;
mod table;

pub(crate) use plot::{Distribution, draw_distributions};
pub use plot::{
    FormatMap, Picture, PlanBits, plot_bits, plot_costs, plot_drop, plot_front, plot_heatmap,
    plot_sensitivity,
};
pub use summary::summary;
pub(crate) use table::grouped;
