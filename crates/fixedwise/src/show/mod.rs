//! Results for people: text and pictures.

mod device;
mod exported;
mod first;
mod generalization;
mod inspection;
mod jobs;
mod numbers;
mod page;
mod plot;
pub mod report;
mod summary;
mod sweep;
mod table;
mod text;

pub use first::first_result;
pub(crate) use first::{fed, short};
pub use jobs::{JobResult, jobs_json, jobs_text};
pub(crate) use numbers::grouped;
pub use page::{Now, ServedPage, Shown, page, running_page, served_page};
pub(crate) use plot::{Distribution, draw_distributions};
pub use plot::{
    FormatMap, Picture, PlanBits, plot_bits, plot_costs, plot_drop, plot_front, plot_heatmap,
    plot_sensitivity,
};
pub use summary::{sections, summary};
pub use text::TextOptions;
