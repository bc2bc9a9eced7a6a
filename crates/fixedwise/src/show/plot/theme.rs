//! Colors, sizes and the measure of text: what all pictures share.

use crate::names::ShortNames;
use fixedwise_search::strategies::Kind;

/// Of titles, in pixels.
pub(super) const TITLE_SIZE: u32 = 17;
/// Of headings and the names of axes.
pub(super) const LABEL_SIZE: u32 = 12;
/// Of everything else.
pub(super) const TEXT_SIZE: u32 = 11;
/// Space around a picture.
pub(super) const MARGIN: f64 = 24.0;

pub(super) const INK: &str = "#1a1a1a";
pub(super) const FAINT: &str = "#666666";
pub(super) const GRID: &str = "#dddddd";
/// What is as it was before: all 8 bits, float.
pub(super) const NEUTRAL: &str = "#bbbbbb";
/// A bound.
pub(super) const BOUND: &str = "#cc3311";

/// Plans side by side, told apart by every kind of color vision (after Paul Tol's *bright*).
pub(super) const PLANS: [&str; 6] =
    ["#4477aa", "#ee7733", "#228833", "#aa3377", "#ccbb44", "#33bbee"];

/// The color of weights, biases and activations (after Okabe and Ito).
pub(super) const fn kind_color(kind: Kind) -> &'static str {
    match kind {
        Kind::Weights => "#0072b2",
        Kind::Biases => "#e69f00",
        Kind::Activations => "#009e73",
    }
}

/// The three kinds of tensors, in the order in which they are drawn.
pub(super) const KINDS: [Kind; 3] = [Kind::Weights, Kind::Biases, Kind::Activations];

/// `Weights`, `Biases`, `Activations`.
pub(super) const fn heading(kind: Kind) -> &'static str {
    match kind {
        Kind::Weights => "Weights",
        Kind::Biases => "Biases",
        Kind::Activations => "Activations",
    }
}

/// Losses up to a fraction of the float accuracy share a color, in steps of the map *viridis*: it
/// grows darker evenly, in gray too.
pub(super) const LOSS_CLASSES: [(f64, &str, &str); 7] = [
    (0.0, "#fde725", "none"),
    (0.0025, "#a0da39", "to 0.25 %"),
    (0.005, "#4ac16d", "to 0.5 %"),
    (0.01, "#1fa187", "to 1 %"),
    (0.02, "#277f8e", "to 2 %"),
    (0.05, "#3e4989", "to 5 %"),
    (f64::INFINITY, "#440154", "more"),
];

/// The color of a relative loss.
pub(super) fn loss_color(loss: f64) -> &'static str {
    let class = LOSS_CLASSES.iter().find(|(upper, ..)| loss <= *upper);
    class.unwrap_or(&LOSS_CLASSES[LOSS_CLASSES.len() - 1]).1
}

/// Whether black or white reads better on a loss's color.
pub(super) fn ink_on(loss: f64) -> &'static str {
    if loss <= 0.01 { "#000000" } else { "#ffffff" }
}

/// The width of a text in pixels, a little too wide rather than too narrow: fonts differ.
pub(super) fn text_width(text: &str, size: u32) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' | ' ' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.98,
        'A'..='Z' => 0.74,
        c if c.is_ascii() => 0.62,
        _ => 1.0,
    };
    text.chars().map(em).sum::<f64>() * f64::from(size)
}

/// Short names that fit a width in pixels.
pub(super) fn short_names<'a>(
    names: impl IntoIterator<Item = &'a str>,
    width: f64,
    size: u32,
) -> ShortNames {
    ShortNames::fitting(names, |text| text_width(text, size) <= width)
}

/// A text, shortened in its middle to a width in pixels.
pub(super) fn fitted(name: &str, width: f64, size: u32) -> String {
    let mut chars = name.chars().count();
    let mut text = name.to_owned();
    while text_width(&text, size) > width && chars > 4 {
        chars -= 1;
        text = super::super::table::shortened(name, chars);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_fall_into_classes() {
        assert_eq!(loss_color(-0.5), LOSS_CLASSES[0].1);
        assert_eq!(loss_color(0.0), LOSS_CLASSES[0].1);
        assert_eq!(loss_color(0.01), LOSS_CLASSES[3].1);
        assert_eq!(loss_color(0.011), LOSS_CLASSES[4].1);
        assert_eq!(loss_color(1.0), LOSS_CLASSES[6].1);
        assert_eq!(loss_color(f64::NAN), LOSS_CLASSES[6].1);
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(fitted("conv2d_1", 100.0, 11), "conv2d_1");
        let text = fitted("/features/block_12/depthwise/Conv_output", 120.0, 11);
        assert!(text_width(&text, 11) <= 120.0, "{text}");
        assert!(text.starts_with("/f") && text.ends_with("output"), "{text}");
    }
}
