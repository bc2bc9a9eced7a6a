//! Numbers as people read them.

use fixedwise_search::{MetricName, Unit};

/// `12,345`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a power of a thousand: `950`, `12.3 k`, `4.56 M`.
pub(crate) fn rounded(n: u64) -> String {
    let mut value = fixedwise_fixed::convert::u64_to_f64(n);
    let mut unit = "";
    for larger in ["k", "M", "G", "T"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    let space = if unit.is_empty() { "" } else { " " };
    match value {
        _ if unit.is_empty() => format!("{value}"),
        ..9.995 => format!("{value:.2}{space}{unit}"),
        ..99.95 => format!("{value:.1}{space}{unit}"),
        _ => format!("{value:.0}{space}{unit}"),
    }
}

/// A fraction as percent, two digits after the point.
pub(crate) fn percent(fraction: f64) -> String {
    let text = format!("{:.2} %", fraction * 100.0);
    // What rounds to zero has no sign.
    if text == "-0.00 %" { "0.00 %".to_owned() } else { text }
}

/// A range of fractions in percent: `-0.09 to 1.08 %`.
pub(crate) fn interval_text(interval: [f64; 2]) -> String {
    loss_interval_text(Unit::Relative, interval)
}

/// The metric of that name as texts name it.
pub(crate) fn figure_title(metric: &str) -> String {
    let known = metric.parse::<MetricName>();
    known.map_or_else(|_| metric.to_owned(), |metric| metric.title().to_owned())
}

/// What a network reaches by the metric of that name.
pub(crate) fn figure_text(metric: &str, value: f64) -> String {
    match metric.parse::<MetricName>() {
        Ok(metric) if metric.is_part() => percent(value),
        Ok(MetricName::Psnr | MetricName::Sqnr) => format!("{value:.2} dB"),
        Ok(_) | Err(_) => significant(value),
    }
}

/// Five digits.
fn significant(value: f64) -> String {
    let digits = match value.abs() {
        1000.0.. => 1,
        100.0.. => 2,
        10.0.. => 3,
        1.0.. => 4,
        _ => 6,
    };
    if value != 0.0 && value.abs() < 0.001 {
        format!("{value:.3e}")
    } else {
        format!("{value:.digits$}")
    }
}

/// A loss by a metric.
pub(crate) fn loss_text(unit: Unit, loss: f64) -> String {
    let text = match unit {
        Unit::Relative => return percent(loss),
        Unit::Points => format!("{:.2} points", 100.0 * loss),
        Unit::Decibels => format!("{loss:.2} dB"),
    };
    // What rounds to zero has no sign.
    text.strip_prefix("-0.00").map_or(text.clone(), |unit| format!("0.00{unit}"))
}

/// Its interval: `-0.09 to 1.08 %`.
pub(crate) fn loss_interval_text(unit: Unit, [low, high]: [f64; 2]) -> String {
    let (low, high) = (loss_text(unit, low), loss_text(unit, high));
    format!("{} to {high}", low.split(' ').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (n, expected) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(n), expected);
        }
        for (n, expected) in [
            (0, "0"),
            (950, "950"),
            (1000, "1.00 k"),
            (12_345, "12.3 k"),
            (999_499, "999 k"),
            (999_600, "1.00 M"),
            (4_560_000, "4.56 M"),
            (7_000_000_000_000, "7.00 T"),
        ] {
            assert_eq!(rounded(n), expected);
        }
        assert_eq!(figure_text("miou", 0.7123), "71.23 %");
        assert_eq!(figure_text("psnr", 31.256), "31.26 dB");
        assert_eq!(
            [0.0, 12.345_67, 0.000_12].map(|x| figure_text("mae", x)),
            ["0.000000", "12.346", "1.200e-4"]
        );
        assert_eq!(loss_interval_text(Unit::Decibels, [-0.001, 0.3]), "0.00 to 0.30 dB");
        assert_eq!(loss_interval_text(Unit::Points, [-0.001, 0.003]), "-0.10 to 0.30 points");
        assert_eq!(percent(0.012_345), "1.23 %");
        assert_eq!(interval_text([-0.0009, 0.0108]), "-0.09 to 1.08 %");
        assert_eq!([percent(-0.000_01), percent(-0.000_1)], ["0.00 %", "-0.01 %"]);
    }
}
