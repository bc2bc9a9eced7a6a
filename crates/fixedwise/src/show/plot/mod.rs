//! Pictures of what runs found: one file a picture, drawn with `kuva`, as SVG and as PNG.

mod bits;
mod canvas;
mod costs;
mod distributions;
mod drop;
mod format_map;
mod front;
mod heatmap;
mod sensitivity;
mod theme;

pub use bits::{PlanBits, plot_bits};
pub use costs::plot_costs;
pub(crate) use distributions::{Distribution, draw_distributions};
pub use drop::plot_drop;
pub use format_map::FormatMap;
pub use front::plot_front;
pub use heatmap::plot_heatmap;
pub use sensitivity::plot_sensitivity;

use crate::{error::Error, files::write_file, result::RunResult};
use fixedwise_fixed::convert::{count_to_f64, f64_to_count};
use kuva::{
    backend::{raster::RasterBackend, svg::SvgBackend},
    render::render::Scene,
};
use std::path::Path;

/// Pixels of a PNG for one of the SVG.
const PNG_SCALE: f32 = 2.0;
/// Largest picture that is made into pixels.
const MAX_PIXELS: f64 = 2e8;

/// A picture, to be written as SVG or PNG. Same input, same bytes.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{RunResult, plot_costs};
///
/// let mut result = RunResult::default();
/// result.memory_bits.weights = 40_000;
/// result.memory_bits.total = 40_000;
/// result.memory_bits.uniform8_total = 80_000;
/// let picture = plot_costs(&[("half the bits", &result)])?;
/// assert!(picture.to_svg().contains("half the bits"));
/// assert!(picture.to_png()?.starts_with(b"\x89PNG"));
/// # Ok(())
/// # }
/// ```
pub struct Picture {
    scene: Scene,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.scene.width, self.scene.height)
    }
}

impl Picture {
    /// Width and height in pixels of the SVG; a PNG has twice as many.
    pub fn size(&self) -> [usize; 2] {
        [self.scene.width, self.scene.height].map(|length| f64_to_count(length.ceil()))
    }

    /// As SVG, which any browser and editor shows.
    pub fn to_svg(&self) -> String {
        let [width, height] = self.size();
        let mut svg = SvgBackend::new().with_pretty(true).render_scene(&self.scene);
        // Without it a viewer that scales the picture cuts it off.
        svg = svg.replacen("<svg ", &format!("<svg viewBox=\"0 0 {width} {height}\" "), 1);
        if !svg.ends_with('\n') {
            svg.push('\n');
        }
        svg
    }

    /// As PNG, with letters that come along: no font is needed on the machine.
    ///
    /// # Errors
    /// [`Error::Picture`] for a picture of too many pixels.
    pub fn to_png(&self) -> Result<Vec<u8>, Error> {
        let refuse = |problem: String| Error::Picture { picture: "PNG", problem };
        let [width, height] = self.size();
        let scale = f64::from(PNG_SCALE);
        if count_to_f64(width) * count_to_f64(height) * scale * scale > MAX_PIXELS {
            let problem = format!("{width} x {height} is too large; write it as .svg");
            return Err(refuse(problem));
        }
        RasterBackend { scale: PNG_SCALE }.render_scene(&self.scene).map_err(refuse)
    }

    /// Writes the picture, as its name says: `.svg` or `.png`. The file appears whole or not at
    /// all.
    ///
    /// # Errors
    /// [`Error`] for another name, a picture too large for PNG, and a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let is = |kind: &str| path.extension().is_some_and(|name| name.eq_ignore_ascii_case(kind));
        if is("svg") {
            write_file(path, self.to_svg().as_bytes())
        } else if is("png") {
            write_file(path, &self.to_png()?)
        } else {
            let name = path.display();
            let problem = format!("`{name}` has an unsupported extension; use .svg or .png");
            Err(Error::Option { option: "output", problem })
        }
    }
}

/// A number of things, as a coordinate.
pub(super) fn count(n: usize) -> f64 {
    count_to_f64(n)
}

/// Nothing to draw, and why.
fn nothing(picture: &'static str, problem: &str) -> Error {
    Error::Picture { picture, problem: problem.to_owned() }
}

/// The name of a network, also where a result does not say it.
fn network(result: &RunResult) -> &str {
    if result.model.name.is_empty() { "a network" } else { &result.model.name }
}

/// What a run was, in a few words.
fn run_of(result: &RunResult) -> String {
    let strategy = if result.strategy.is_empty() { "a plan" } else { &result.strategy };
    format!("{strategy}, {} semantics", result.semantics)
}

/// `5,000 search images`, or test images where there was no search.
fn images_of(result: &RunResult) -> String {
    let (n, set) = match result.images.search {
        0 => (result.images.test, "test"),
        n => (n, "search"),
    };
    format!("{} {set} images", super::numbers::grouped(n))
}
