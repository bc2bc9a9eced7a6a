//! Numbers as people read them.

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
pub(crate) fn interval_text([low, high]: [f64; 2]) -> String {
    let (low, high) = (percent(low), percent(high));
    format!("{} to {high}", low.trim_end_matches(" %"))
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
        assert_eq!(percent(0.012_345), "1.23 %");
        assert_eq!(interval_text([-0.0009, 0.0108]), "-0.09 to 1.08 %");
        assert_eq!([percent(-0.000_01), percent(-0.000_1)], ["0.00 %", "-0.01 %"]);
    }
}
