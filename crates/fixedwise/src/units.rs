//! Units: bytes in KiB of 1,024 and MiB of 1,024 KiB, as data sheets and linkers count memory, and clocks in Hz.

use fixedwise_fixed::convert::{count_to_u64, f64_to_count};
use std::str::FromStr;

/// Reads a number of bytes: `65536`, `64K`, `64 KiB`, `0.5 MiB`.
///
/// k is 1,024, M is 1,024 k and G is 1,024 M however they are spelled: `64k`, `64K`, `64kB`, `64KB` and `64KiB` are
/// the same, as linkers and data sheets of microcontrollers mean it.
///
/// # Errors
/// What is expected, for anything else, for parts of bytes and for more bytes than 64 bits count.
///
/// ```
/// use fixedwise::parse_bytes;
///
/// for text in ["65536", "64k", "64K", "64kB", "64 KB", "64KiB", "0.0625 MiB"] {
///     assert_eq!(parse_bytes(text), Ok(65_536));
/// }
/// assert!(parse_bytes("64 kbit").is_err());
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let help = || {
        "expected bytes, or a number with KiB, MiB or GiB (k, K, kB and KB are KiB too), for example \
         64KiB"
            .to_owned()
    };
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(help()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| text.parse::<u64>().map_err(|_| help());
    let places = u32::try_from(part.len()).map_err(|_| help())?;
    let ten = 10_u64.checked_pow(places).ok_or_else(help)?;
    let whole = digits(whole)?.checked_mul(1 << shift).ok_or_else(help)?;
    let part = digits(part)?.checked_mul(1 << shift).ok_or_else(help)?;
    if part % ten != 0 {
        return Err(format!("{text} is not a whole number of bytes"));
    }
    whole.checked_add(part / ten).ok_or_else(help)
}

/// The clock of a processor, and how many cycles an instruction takes there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Cycles of a second, at least 1.
    pub hz: u64,
    /// Cycles of an instruction in the mean, above 0.
    pub cycles_per_instruction: f64,
}

/// One cycle an instruction, at `80MHz`, `32768 Hz`, `1.2 GHz`.
///
/// ```
/// use fixedwise::Clock;
///
/// let clock: Clock = "80MHz".parse().expect("a clock");
/// assert_eq!(clock, Clock { hz: 80_000_000, cycles_per_instruction: 1.0 });
/// assert!("80".parse::<Clock>().is_err());
/// assert!("0 MHz".parse::<Clock>().is_err());
/// ```
impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = || "expected a number with Hz, kHz, MHz or GHz, for example 80MHz".to_owned();
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let each = match unit.trim_start().to_ascii_lowercase().as_str() {
            "hz" => 1.0,
            "khz" => 1e3,
            "mhz" => 1e6,
            "ghz" => 1e9,
            _ => return Err(help()),
        };
        let number: f64 = number.parse().map_err(|_| help())?;
        let hz = count_to_u64(f64_to_count((number * each).round()));
        if hz == 0 { Err(help()) } else { Ok(Self { hz, cycles_per_instruction: 1.0 }) }
    }
}

/// Bytes in KiB, or in MiB of 1,024 KiB: `0.8 KiB`, `12.3 KiB`, `345 KiB`, `6.7 MiB`.
pub(crate) fn kibibytes(bytes: f64) -> String {
    match bytes / 1024.0 {
        kibibytes @ ..99.95 => format!("{kibibytes:.1} KiB"),
        kibibytes @ ..1023.5 => format!("{kibibytes:.0} KiB"),
        kibibytes => format!("{:.1} MiB", kibibytes / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_means_the_same_unit() {
        let spellings = ["k", "K", "kB", "KB", "kb", "KiB", "kib", " KiB", " kB"];
        for unit in spellings {
            assert_eq!(parse_bytes(&format!("48{unit}")), Ok(48 << 10), "{unit}");
        }
        for (text, expected) in [
            ("0", 0),
            ("12", 12),
            ("12 B", 12),
            ("768M", 768 << 20),
            ("2GiB", 2 << 30),
            ("0.5MiB", 512 << 10),
            ("1.5 k", 1536),
            (" 20480 ", 20_480),
        ] {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "-1", "1e3", "1.2.3k", ".5k", "5.k", "64 kbit", "99999999999999999G"]
        {
            let error = parse_bytes(text).unwrap_err();
            assert!(error.starts_with("expected bytes"), "{text}: {error}");
        }
        assert_eq!(parse_bytes("0.3k").unwrap_err(), "0.3k is not a whole number of bytes");
    }

    #[test]
    fn bytes_are_shown_in_one_unit() {
        let shown = [800.0, 1024.0, 12_345.0, 345_678.0, 6_700_000.0].map(kibibytes);
        assert_eq!(shown, ["0.8 KiB", "1.0 KiB", "12.1 KiB", "338 KiB", "6.4 MiB"]);
    }
}
