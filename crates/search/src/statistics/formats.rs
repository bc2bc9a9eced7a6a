use super::histogram::Histogram;
use fixedwise_fixed::{Format, Range, convert::saturating_i8};

/// How many binary points above the one that clips nothing are tried.
const FINER: i8 = 8;

/// How a binary point is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offset {
    /// The finest at which nothing clips, the paper's rule.
    #[default]
    NoClip,
    /// The one with the least squared error, of rounding and clipping together.
    LeastError,
}

/// The paper's format of a tensor that reaches `max_abs`: `F = bits - 1 - ceil(log2(max_abs))`, and
/// one more without sign.
///
/// As there, a `max_abs` that is exactly a power of two saturates by one step. A tensor of zeros
/// counts as one that reaches 1. Of a bipolar format it is the finest step that is no smaller than `max_abs`.
pub fn format_no_clip(max_abs: f32, bits: u8, range: Range) -> Format {
    let sign = i32::from(range != Range::Unsigned);
    let frac = i32::from(bits) - sign - ceil_log2(f64::from(max_abs));
    let frac = saturating_i8(i64::from(frac));
    Format { bits, frac, range }
}

/// `ceil(log2(x))`, exact; 0 for what has no logarithm.
fn ceil_log2(x: f64) -> i32 {
    if !x.is_finite() || x <= 0.0 {
        return 0;
    }
    let bits = x.to_bits();
    // Values that were `f32` are normal as `f64`.
    let exponent = i32::try_from((bits >> 52) & 0x7ff).expect("11 bits") - 1023;
    exponent + i32::from(bits.trailing_zeros() < 52)
}

/// The format of that width with the least squared error; of equal ones the one that clips less.
pub fn format_least_error(histogram: &Histogram, bits: u8, range: Range) -> Format {
    least(format_no_clip(histogram.max_abs(), bits, range), |format| {
        histogram.squared_error(format)
    })
}

/// As [`format_least_error`], exactly, for values at hand.
pub fn format_least_error_of(values: &[f64], bits: u8, range: Range) -> Format {
    let max_abs = values.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    let max_abs = fixedwise_fixed::convert::f64_to_f32(max_abs);
    least(format_no_clip(max_abs, bits, range), |format| squared_error_of(values, format))
}

/// The sum of `(x - format(x))^2`.
pub fn squared_error_of(values: &[f64], format: Format) -> f64 {
    values.iter().map(|&x| (x - format.round(x)).powi(2)).sum()
}

fn least(coarsest: Format, error: impl Fn(Format) -> f64) -> Format {
    let mut best = (coarsest, error(coarsest));
    for finer in 1..=FINER {
        let format = Format { frac: coarsest.frac.saturating_add(finer), ..coarsest };
        let error = error(format);
        if error < best.1 {
            best = (format, error);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_paper() {
        for (max_abs, bits, range, frac) in [
            (1.0, 8, Range::Narrow, 7),
            (0.999, 8, Range::Narrow, 7),
            (1.001, 8, Range::Narrow, 6),
            (2.0, 8, Range::Narrow, 6),
            (0.5, 8, Range::Narrow, 8),
            (0.26, 12, Range::Narrow, 12),
            (300.0, 8, Range::Narrow, -2),
            (255.0, 8, Range::Unsigned, 0),
            (256.0, 8, Range::Unsigned, 0),
            (0.0, 8, Range::Narrow, 7),
            (0.3, 1, Range::Bipolar, 1),
            (0.5, 1, Range::Bipolar, 1),
            (0.51, 1, Range::Bipolar, 0),
            (f32::MIN_POSITIVE / 4.0, 8, Range::Narrow, 127),
        ] {
            let format = Format { bits, frac, range };
            assert_eq!(
                format_no_clip(max_abs, bits, range),
                format,
                "{max_abs}, {bits}, {range:?}"
            );
        }
    }

    #[test]
    fn an_outlier_is_clipped_where_that_costs_less() {
        let mut values: Vec<f64> = (0..1000_i16).map(|i| f64::from(i) / 1000.0).collect();
        values.push(4.5);
        let clipping = format_least_error_of(&values, 4, Range::Unsigned);
        // Nothing clips at F = 1; at 2 the outlier becomes 15/4, at 3 it would lose too much.
        assert_eq!(clipping.frac, 2);
        let mut histogram = Histogram::new();
        histogram.add(
            &values.iter().map(|&x| fixedwise_fixed::convert::f64_to_f32(x)).collect::<Vec<_>>(),
        );
        assert_eq!(format_least_error(&histogram, 4, Range::Unsigned), clipping);
    }

    #[test]
    fn zeros_have_a_format() {
        let format = format_least_error_of(&[0.0; 4], 8, Range::Narrow);
        assert_eq!(format, Format::signed(8, 7));
    }
}
