//! Target profiles: those that come with fixedwise, and TOML files of the same form.

use super::{
    file::{plan_kernels, plan_target},
    terms::Problem,
};
use crate::{error::Error, files, units::parse_bytes};
use fixedwise_fixed::{Range, Rounding};
use fixedwise_graph::{
    Granularity, Target,
    emit::c::{Core, Cpu},
    target::{Code, KernelChoice, MultiplicationCost, Widths},
};
use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};
use toml::{Spanned, Value};

/// The version of profiles that is read.
const SCHEMA: i64 = 1;

/// The profiles that come with fixedwise, by name.
const SHIPPED: [(&str, &str); 6] = [
    ("generic", include_str!("../../../../targets/generic.toml")),
    ("cortex-m0", include_str!("../../../../targets/cortex-m0.toml")),
    ("cortex-m4", include_str!("../../../../targets/cortex-m4.toml")),
    ("cortex-m55", include_str!("../../../../targets/cortex-m55.toml")),
    ("riscv32", include_str!("../../../../targets/riscv32.toml")),
    ("fpga", include_str!("../../../../targets/fpga.toml")),
];

/// Every key of a profile.
const KEYS: [&str; 17] = [
    "schema",
    "base",
    "name",
    "code",
    "cpu",
    "kernels",
    "weight_bits",
    "activation_bits",
    "bias_bits",
    "accumulator_bits",
    "shift",
    "rounding",
    "signed_range",
    "granularity",
    "multiplication",
    "flash_bytes",
    "ram_bytes",
];

/// Names of the profiles that come with fixedwise.
///
/// ```
/// assert!(fixedwise::target_names().contains(&"cortex-m4"));
/// ```
pub fn target_names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

/// What a device can store and compute: a profile that comes with fixedwise, by its name, or a file
/// that ends in `.toml`. `docs/targets.md` describes the file.
///
/// # Errors
/// [`Error::Option`] for a name that is neither, [`Error::Target`] with file, line and key for a
/// profile that cannot be used.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("board.toml");
/// let small = fixedwise::read_target("cortex-m0")?;
/// assert_eq!((small.accumulator_bits, small.ram_bytes), (32, None));
///
/// std::fs::write(&path, "base = \"cortex-m0\"\nram_bytes = 20480\n").expect("writable");
/// let board = fixedwise::read_target(&path.display().to_string())?;
/// assert_eq!((board.name.as_str(), board.ram_bytes), ("board", Some(20_480)));
/// # Ok(())
/// # }
/// ```
pub fn read_target(name: &str) -> Result<Target, Error> {
    if let Some((_, text)) = SHIPPED.iter().find(|(known, _)| *known == name) {
        return parse(text, name).map_err(|problem| refuse(Path::new(name), problem));
    }
    let path = Path::new(name);
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        let known = target_names().join(", ");
        let problem = format!(
            "is `{name}`, not one of {known}; a target of your own is a file that ends in .toml"
        );
        return Err(Error::Option { option: "target", problem });
    }
    let text = files::read_text(path)?;
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    parse(&text, &stem).map_err(|problem| refuse(path, problem))
}

/// The target that a plan names, where it comes with fixedwise.
pub(crate) fn named_target(plan: &Path) -> Result<Option<Target>, Error> {
    let name = plan_target(plan)?.filter(|name| target_names().contains(&name.as_str()));
    let target = name.map(|name| read_target(&name)).transpose()?;
    let kernels = plan_kernels(plan)?;
    Ok(target.map(|target| Target { kernels: kernels.unwrap_or(target.kernels), ..target }))
}

fn refuse(path: &Path, Problem { line, problem }: Problem) -> Error {
    Error::Target { path: path.to_owned(), line, problem }
}

/// A profile; one without a name has that of its file.
fn parse(text: &str, stem: &str) -> Result<Target, Problem> {
    let keys: BTreeMap<Spanned<String>, Spanned<Value>> =
        toml::from_str(text).map_err(|error| {
            let problem = error.message().replace('\n', " ");
            match error.span() {
                Some(span) => Problem::at(text, span.start, problem),
                None => Problem { line: None, problem },
            }
        })?;
    let base = keys.iter().find(|(key, _)| key.get_ref() == "base");
    let mut target = match base {
        None => Target::default(),
        Some((key, value)) => base_of(value.get_ref())
            .map_err(|problem| Problem::at(text, key.span().start, format!("`base` {problem}")))?,
    };
    stem.clone_into(&mut target.name);
    let is_cpu_given = keys.keys().any(|key| key.get_ref() == "cpu");
    for (key, value) in &keys {
        let refuse = |problem: String| {
            let problem = format!("`{}` {problem}", key.get_ref());
            Problem::at(text, key.span().start, problem)
        };
        set(&mut target, key.get_ref(), value.get_ref()).map_err(refuse)?;
    }
    // Special instructions say which processor it is.
    if !is_cpu_given {
        target.cpu = match (target.code, target.cpu) {
            (Code::C(Core::Dsp), None) => Some(Cpu::CortexM4),
            (Code::C(Core::Mve), None) => Some(Cpu::CortexM55),
            (_, cpu) => cpu,
        };
    }
    // What the keys say together comes last: any of them may be the base's.
    consistent(&target).map_err(|(key, problem)| {
        let place = keys.keys().find(|known| known.get_ref() == key);
        let problem = format!("`{key}` {problem}");
        match place {
            Some(place) => Problem::at(text, place.span().start, problem),
            None => Problem { line: None, problem },
        }
    })?;
    Ok(target)
}

fn base_of(value: &Value) -> Result<Target, String> {
    let name = string(value)?;
    let shipped = SHIPPED.iter().find(|(known, _)| *known == name);
    let (name, text) = shipped
        .ok_or_else(|| format!("is `{name}`; it must be one of {}", target_names().join(", ")))?;
    parse(text, name).map_err(|problem| problem.problem)
}

/// Takes one key over.
fn set(target: &mut Target, key: &str, value: &Value) -> Result<(), String> {
    match key {
        "schema" => match integer(value)? {
            SCHEMA => {}
            other => return Err(format!("is {other}; only {SCHEMA} is supported")),
        },
        // Taken before all others.
        "base" => {}
        "name" => {
            let name = string(value)?;
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err("must be one line of text".to_owned());
            }
            name.clone_into(&mut target.name);
        }
        "code" => {
            let codes = [
                ("portable", Code::C(Core::Portable)),
                ("dsp", Code::C(Core::Dsp)),
                ("mve", Code::C(Core::Mve)),
                ("hls", Code::Hls),
            ];
            target.code = one_of(value, &codes)?;
        }
        "cpu" => {
            let names = Cpu::ALL.map(|cpu| (cpu.name(), cpu));
            target.cpu = Some(one_of(value, &names)?);
        }
        "kernels" => {
            let names = [("fast", KernelChoice::Fast), ("small", KernelChoice::Small)];
            target.kernels = one_of(value, &names)?;
        }
        "weight_bits" => target.weight_bits = widths(value, Target::MAX_BITS)?,
        "activation_bits" => target.activation_bits = widths(value, Target::MAX_BITS)?,
        "bias_bits" => target.bias_bits = widths(value, Target::MAX_BIAS_BITS)?,
        "accumulator_bits" => {
            let range = 8..=MAX_ACCUMULATOR_BITS;
            let bits = u8::try_from(integer(value)?).ok().filter(|bits| range.contains(bits));
            target.accumulator_bits =
                bits.ok_or_else(|| format!("is {value}; allowed: 8 to {MAX_ACCUMULATOR_BITS}"))?;
        }
        "shift" => target.shift = shift(value)?,
        "rounding" => {
            let names = Rounding::ALL.map(|rounding| (rounding.name(), rounding));
            target.rounding = several_of(value, &names)?;
        }
        "signed_range" => {
            let names = [("narrow", Range::Narrow), ("full", Range::Full)];
            target.signed_range = several_of(value, &names)?;
        }
        "granularity" => {
            let names = [("tensor", Granularity::Tensor), ("channel", Granularity::Channel)];
            target.granularity = one_of(value, &names)?;
        }
        "multiplication" => {
            let names = [("bits", MultiplicationCost::Bits), ("each", MultiplicationCost::Each)];
            target.multiplication = one_of(value, &names)?;
        }
        "flash_bytes" => target.flash_bytes = Some(bytes(value)?),
        "ram_bytes" => target.ram_bytes = Some(bytes(value)?),
        _ => return Err(format!("is not a key of a target; the keys are {}", KEYS.join(", "))),
    }
    Ok(())
}

/// Widest sums that the executor adds up exactly.
const MAX_ACCUMULATOR_BITS: u8 = 56;

/// What C cannot do whatever a profile says: the key and what is wrong with it.
fn consistent(target: &Target) -> Result<(), (&'static str, String)> {
    let Code::C(core) = target.code else { return Ok(()) };
    let has_code = match core {
        Core::Portable => true,
        Core::Dsp => matches!(target.code_cpu(), Cpu::CortexM4 | Cpu::CortexM55),
        Core::Mve => target.code_cpu() == Cpu::CortexM55,
    };
    if !has_code {
        let problem = format!(
            "is {}, which does not have the instructions of `code`; use code = \"portable\"",
            target.code_cpu().name()
        );
        return Err(("cpu", problem));
    }
    let is_within = |range: &RangeInclusive<i32>, of: RangeInclusive<i32>| {
        of.contains(range.start()) && of.contains(range.end())
    };
    let listed = |widths: &Widths, allowed: &[&[u8]]| match widths {
        Widths::Any => false,
        Widths::Listed(widths) => allowed.contains(&widths.as_slice()),
    };
    if !listed(&target.activation_bits, &[&[8], &[8, 16], &[4, 8], &[4, 8, 16]]) {
        let problem = "must be [8], [8, 16], [4, 8] or [4, 8, 16]: C code stores activations in \
                       these widths";
        return Err(("activation_bits", problem.to_owned()));
    }
    if !listed(&target.bias_bits, &[&[8], &[8, 16], &[8, 16, 32]]) {
        let problem = "must be [8], [8, 16] or [8, 16, 32]: C code stores biases in these widths";
        return Err(("bias_bits", problem.to_owned()));
    }
    if target.accumulator_bits > 32 {
        let problem = format!("is {}; C code has 32-bit accumulators", target.accumulator_bits);
        return Err(("accumulator_bits", problem));
    }
    if !is_within(&target.shift, Target::MAX_C_SHIFT) {
        let (from, to) = (Target::MAX_C_SHIFT.start(), Target::MAX_C_SHIFT.end());
        return Err(("shift", format!("is beyond the range of C code, {from} to {to}")));
    }
    Ok(())
}

fn integer(value: &Value) -> Result<i64, String> {
    value.as_integer().ok_or_else(|| format!("is {value}; it must be a whole number"))
}

fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("is {value}; it must be a string"))
}

/// A number of bytes, or a text with a unit.
fn bytes(value: &Value) -> Result<u64, String> {
    if let Some(text) = value.as_str() {
        return parse_bytes(text).map_err(|problem| format!("is \"{text}\": {problem}"));
    }
    let number = integer(value)?;
    u64::try_from(number).map_err(|_| format!("is {number}; it must not be negative"))
}

/// `"any"`, or widths in rising order.
fn widths(value: &Value, most: u8) -> Result<Widths, String> {
    if value.as_str() == Some("any") {
        return Ok(Widths::Any);
    }
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| {
        format!("is {value}; it must be a list of bit widths, for example [4, 8], or \"any\"")
    })?;
    let mut widths: Vec<u8> = Vec::with_capacity(list.len());
    for width in list {
        let number = integer(width)?;
        let allowed = u8::try_from(number).ok().filter(|width| (1..=most).contains(width));
        let width = allowed.ok_or_else(|| format!("has {number}; allowed: 1 to {most} bits"))?;
        if widths.last().is_some_and(|&last| last >= width) {
            return Err(format!("is {value}; widths must be ascending"));
        }
        widths.push(width);
    }
    Ok(Widths::Listed(widths))
}

/// `[least, most]`.
fn shift(value: &Value) -> Result<RangeInclusive<i32>, String> {
    let help = || {
        format!(
            "is {value}; it must be [LEAST, MOST] within {} to {}, right shifts positive",
            Target::MAX_SHIFT.start(),
            Target::MAX_SHIFT.end()
        )
    };
    let list = value.as_array().ok_or_else(help)?;
    let [least, most] = list.as_slice() else { return Err(help()) };
    let number = |value: &Value| {
        let number = value.as_integer().and_then(|number| i32::try_from(number).ok());
        number.filter(|number| Target::MAX_SHIFT.contains(number)).ok_or_else(help)
    };
    let (least, most) = (number(least)?, number(most)?);
    // No shift at all is what equal binary points need.
    if least <= 0 && 0 <= most { Ok(least..=most) } else { Err(help() + ", 0 among them") }
}

fn one_of<T: Copy>(value: &Value, names: &[(&str, T)]) -> Result<T, String> {
    let text = value.as_str();
    let found = names.iter().find(|(name, _)| text == Some(*name));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        format!("is {value}; it must be one of {}", names.join(", "))
    })
}

fn several_of<T: Copy + PartialEq>(value: &Value, names: &[(&str, T)]) -> Result<Vec<T>, String> {
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| {
        let names: Vec<String> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("is {value}; it must be a list of some of {}", names.join(", "))
    })?;
    let mut several = Vec::with_capacity(list.len());
    for value in list {
        let one = one_of(value, names)?;
        if !several.contains(&one) {
            several.push(one);
        }
    }
    Ok(several)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_that_comes_along_says_every_key() {
        for (name, text) in SHIPPED {
            let target = parse(text, "a file").unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(target.name, name);
            let optional = ["base", "cpu", "flash_bytes", "ram_bytes"];
            for key in KEYS.iter().filter(|key| !optional.contains(key)) {
                assert!(text.contains(&format!("\n{key} = ")), "{name}: {key}");
            }
            assert_eq!(read_target(name).unwrap(), target);
        }
        assert_eq!(read_target("generic").unwrap(), Target::default());
        assert_eq!(parse("", "generic").unwrap(), Target::default());
    }

    #[test]
    fn a_profile_differs_from_its_base_where_it_says_so() {
        let text = "base = \"fpga\"\nweight_bits = [4, 8]\nflash_bytes = 1000\n";
        let fpga = read_target("fpga").unwrap();
        let expected = Target {
            name: "board".to_owned(),
            weight_bits: Widths::Listed(vec![4, 8]),
            flash_bytes: Some(1000),
            ..fpga
        };
        assert_eq!(parse(text, "board").unwrap(), expected);
        let named = parse("name = \"mine\"\nbase = \"cortex-m55\"\n", "board").unwrap();
        assert_eq!((named.name.as_str(), named.code), ("mine", Code::C(Core::Mve)));
    }

    #[test]
    fn what_is_wrong_names_key_and_line() {
        for (line, expected) in [
            ("weight_width = [8]", "`weight_width` is not a key of a target; the keys are schema"),
            ("schema = 2", "`schema` is 2; only 1"),
            ("base = \"cortex\"", "`base` is `cortex`; it must be one of generic, cortex-m0"),
            ("name = \"\"", "`name` must be"),
            ("name = 5", "`name` is 5; it must be a string"),
            ("code = \"avr\"", "`code` is \"avr\"; it must be one of portable, dsp, mve, hls"),
            ("weight_bits = [0, 8]", "`weight_bits` has 0; allowed: 1 to 16 bits"),
            ("weight_bits = [8, 40]", "`weight_bits` has 40; allowed: 1 to 16 bits"),
            ("weight_bits = [8, 4]", "`weight_bits` is [8, 4]; widths must be ascending"),
            ("weight_bits = []", "`weight_bits` is []; it must be a list of bit widths"),
            ("weight_bits = 8", "`weight_bits` is 8; it must be a list"),
            ("weight_bits = [4.5]", "`weight_bits` is 4.5; it must be a whole number"),
            ("bias_bits = [33]", "`bias_bits` has 33; allowed: 1 to 32 bits"),
            ("bias_bits = [12]", "`bias_bits` must be [8], [8, 16]"),
            ("activation_bits = [2, 8]", "`activation_bits` must be [8], [8, 16], [4, 8]"),
            ("activation_bits = \"any\"", "`activation_bits` must be [8], [8, 16]"),
            ("accumulator_bits = 64", "`accumulator_bits` is 64; allowed: 8 to 56"),
            ("accumulator_bits = 40", "`accumulator_bits` is 40; C code has 32-bit accumulators"),
            ("shift = [1, 8]", "`shift` is [1, 8]; it must be [LEAST, MOST]"),
            ("shift = [0, 99]", "`shift` is [0, 99]; it must be [LEAST, MOST]"),
            ("shift = [0, 40]", "`shift` is beyond the range of C code, -30 to 30"),
            ("shift = 8", "`shift` is 8; it must be [LEAST, MOST]"),
            ("rounding = \"floor\"", "`rounding` is \"floor\"; it must be a list"),
            ("rounding = [\"up\"]", "`rounding` is \"up\"; it must be one of ties-up"),
            ("signed_range = [\"unsigned\"]", "`signed_range` is \"unsigned\""),
            (
                "granularity = \"row\"",
                "`granularity` is \"row\"; it must be one of tensor, channel",
            ),
            ("multiplication = 1.5", "`multiplication` is 1.5; it must be one of bits, each"),
            ("flash_bytes = \"64 kbit\"", "`flash_bytes` is \"64 kbit\": expected bytes"),
            ("ram_bytes = -1", "`ram_bytes` is -1; it must not be negative"),
            ("ram_bytes = 1\nram_bytes = 2", "duplicate key"),
            ("[rules]\nshift = [0, 8]", "`rules` is not a key"),
            ("weight_bits", "expected"),
        ] {
            let text = format!("# a comment\n{line}\n");
            let error = parse(&text, "file").expect_err(line);
            assert!(error.problem.contains(expected), "{line}: {}", error.problem);
            assert!(!error.problem.contains('\n'), "{line}: {}", error.problem);
            assert!(error.line >= Some(2), "{line}: {error:?}");
        }
        // What the base says is wrong with another key's value, and that one is named.
        let error = parse("base = \"fpga\"\ncode = \"dsp\"\n", "file").unwrap_err();
        assert!(error.problem.starts_with("`activation_bits` must be"), "{}", error.problem);
    }

    #[test]
    fn a_name_that_is_no_target_is_refused() {
        let error = read_target("cortex-m3").unwrap_err().to_string();
        assert!(error.contains("`cortex-m3`, not one of generic, cortex-m0"), "{error}");
        let error = read_target("absent.toml").unwrap_err().to_string();
        assert!(error.contains("absent.toml"), "{error}");
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.toml");
        std::fs::write(&path, "base = \"cortex-m4\"\nweight_bits = [0]\n").unwrap();
        let error = read_target(&path.display().to_string()).unwrap_err().to_string();
        assert!(error.contains("board.toml`, line 2: `weight_bits` has 0"), "{error}");
    }
}
