//! Results for people: text and pictures.

mod plot;
mod summary;
mod table;

pub use plot::{
    FormatMap, Picture, PlanBits, plot_bits, plot_costs, plot_distributions, plot_drop, plot_front,
    plot_heatmap, plot_sensitivity,
};
pub use summary::summary;
pub(crate) use table::{
    Align, Style, Table, add_line, grouped, kilobytes, percent, rounded, shortened, styled,
};
