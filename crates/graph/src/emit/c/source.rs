//! The text of a C file, item by item.

use super::{
    code::Function,
    options::{COptions, CodeStyle, WeightPlace},
    weight_file::{CHECK_BYTES, WeightFile},
    work::Work,
};
use crate::lower::requantization::element;
use fixedwise_fixed::{Format, Rounding, convert::count_to_u64};
use fixedwise_kernels::Element;
use std::{collections::BTreeMap, fmt::Write as _};

/// How the integers of a value lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Each in an element of its own.
    Whole(Element),
    /// Two of 4 bits in a byte, the first in its lower half; signed or not.
    Packed4 {
        /// In two's complement.
        is_signed: bool,
    },
}

impl Storage {
    /// Of a format's integers, packed where that is asked for and they have at most 4 bits.
    pub(crate) fn new(format: Format, packs: bool) -> Self {
        if packs && format.bits <= 4 {
            Self::Packed4 { is_signed: format.is_signed() }
        } else {
            Self::Whole(element(format))
        }
    }

    /// The C type of what is addressed.
    pub const fn ctype(self) -> &'static str {
        match self {
            Self::Whole(element) => c_type(element),
            Self::Packed4 { .. } => "uint8_t",
        }
    }

    /// For names: `u8`.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Whole(element) => short(element),
            Self::Packed4 { is_signed: true } => "i4",
            Self::Packed4 { is_signed: false } => "u4",
        }
    }

    /// Bits of one integer.
    pub const fn bits(self) -> usize {
        match self {
            Self::Whole(Element::U8 | Element::I8) => 8,
            Self::Whole(Element::I16) => 16,
            Self::Packed4 { .. } => 4,
        }
    }
}

/// The C type of a stored integer.
pub(crate) const fn c_type(element: Element) -> &'static str {
    match element {
        Element::U8 => "uint8_t",
        Element::I8 => "int8_t",
        Element::I16 => "int16_t",
    }
}

/// `uint8_t` as `u8`, for names.
pub(crate) const fn short(element: Element) -> &'static str {
    match element {
        Element::U8 => "u8",
        Element::I8 => "i8",
        Element::I16 => "i16",
    }
}

/// `int16_t` where that holds all values, else `int32_t`.
///
/// 8 bits would save less of constants than functions for another type take of code.
pub(crate) fn bias_type(values: &[i64]) -> &'static str {
    let is_narrow = values.iter().all(|&value| i16::try_from(value).is_ok());
    if is_narrow { "int16_t" } else { "int32_t" }
}

/// `template` with every `$NAME` (capitals, digits, underscores) replaced; of `$N_SIZE` the part
/// before an underscore may be the name. A `$` before anything else stays.
///
/// # Panics
/// Where a name is not among `values`: the template and its code do not fit.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let mut end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            text.push('$');
            continue;
        }
        let value = loop {
            let name = &rest[..end];
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                break value;
            }
            end = name
                .rfind('_')
                .unwrap_or_else(|| panic!("the template names `${name}`, which has no value"));
        };
        text.push_str(value);
        rest = &rest[end..];
    }
    text.push_str(rest);
    text
}

/// The address of what tells the rows that a call computes, where it computes one at a time.
const ROWS: &str = "$ROWS";

/// The items of a C file in the order in which they are printed, and how many bytes its constants
/// take.
#[derive(Debug)]
pub struct Source {
    prefix: String,
    items: Vec<String>,
    /// The text of what is printed once, by name.
    known: BTreeMap<String, String>,
    /// Functions that are printed only where another item mentions them: names by item.
    helpers: BTreeMap<usize, String>,
    constant_bytes: usize,
    functions: Vec<Function>,
    /// How the network rounds, once an item depends on it.
    rounding: Option<Rounding>,
    style: CodeStyle,
    slopes: Slopes,
    /// The functions that compute the stages of a part.
    parts: Vec<String>,
    /// What the functions do that were called since this was taken.
    work: Work,
    /// Instructions that a call of a function in assembly executes, by name.
    executed: BTreeMap<String, usize>,
    /// Weights that do not lie among the constants.
    weight_file: Option<WeightFile>,
    is_draft: bool,
}

/// Whether requantizations have a slope below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slopes {
    /// None was met.
    None,
    /// One was met after the type was printed without: the file must be printed with them.
    Missed,
    /// They have.
    Printed,
}

impl Source {
    pub(crate) fn new(options: &COptions, slopes: Slopes) -> Self {
        let COptions { name: prefix, style, place, .. } = options;
        let weight_file = (*place == WeightPlace::File).then(WeightFile::default);
        let (items, known, helpers) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let (prefix, style, functions) = (prefix.clone(), *style, Vec::new());
        let (constant_bytes, rounding) = (0, None);
        let (parts, is_draft) = (Vec::new(), false);
        let (work, executed) = (Work::default(), BTreeMap::new());
        let mut source = Self {
            prefix,
            items,
            known,
            helpers,
            constant_bytes,
            functions,
            rounding,
            style,
            slopes,
            parts,
            work,
            executed,
            weight_file,
            is_draft,
        };
        if source.weight_file.is_some() {
            source.take_weight_file();
        }
        source
    }

    /// A file that nobody reads: its constants have no text.
    pub(crate) fn draft(options: &COptions, slopes: Slopes) -> Self {
        Self { is_draft: true, ..Self::new(options, slopes) }
    }

    /// Whether nobody reads it.
    pub(crate) fn is_draft(&self) -> bool {
        self.is_draft
    }

    /// Adds a function that computes the stages of a part.
    pub(crate) fn part(&mut self, text: &str) {
        let text = fill(text, &[("P", &self.prefix)]);
        self.parts.push(text.clone());
        self.item(text);
    }

    /// The functions that compute the stages of a part.
    pub(crate) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Whether code is made small rather than fast.
    pub(crate) fn is_small(&self) -> bool {
        self.style == CodeStyle::Small
    }

    /// Whether requantizations are printed with a slope.
    pub(crate) fn has_slopes(&self) -> bool {
        self.slopes == Slopes::Printed
    }

    /// Says that a requantization has one.
    pub(crate) fn needs_slopes(&mut self) {
        if self.slopes == Slopes::None {
            self.slopes = Slopes::Missed;
        }
    }

    /// Whether slopes were needed and not printed.
    pub(crate) fn misses_slopes(&self) -> bool {
        self.slopes == Slopes::Missed
    }

    /// What every name of the file begins with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Bytes of all constants on a 32-bit machine.
    pub(crate) fn constant_bytes(&self) -> usize {
        self.constant_bytes
    }

    /// Adds an item; `$P` stands for the prefix.
    pub(crate) fn item(&mut self, text: impl Into<String>) {
        let text = fill(&text.into(), &[("P", &self.prefix)]);
        self.items.push(text.trim_end().to_owned() + "\n");
    }

    /// Adds an item the first time its name is mentioned; layers share it.
    ///
    /// # Panics
    /// Where the name stands for another text already.
    pub(crate) fn once(&mut self, name: &str, text: impl Into<String>) {
        let text = text.into();
        if let Some(known) = self.known.get(name) {
            assert_eq!(*known, text, "`{name}` stands for one item only");
            return;
        }
        self.known.insert(name.to_owned(), text.clone());
        self.function(name, &text);
    }

    /// Adds an item whose functions, where it has any, have the code of all others of that kind.
    pub(crate) fn function(&mut self, kind: &str, text: &str) {
        let text = fill(text, &[("P", &self.prefix)]);
        self.functions.extend(Function::of(kind, &text, self.rounding, self.style));
        self.item(text);
    }

    /// Adds functions in assembly, once under their name: these bytes where the core has the instructions, of which a
    /// call executes so many.
    pub(crate) fn assembly(&mut self, name: &str, text: &str, bytes: usize, executed: usize) {
        let text = fill(text, &[("P", &self.prefix)]);
        self.executed.insert(name.to_owned(), executed);
        if !self.known.contains_key(name) {
            let symbol = format!("{}_{name}", self.prefix);
            self.functions.push(Function::assembly(name, symbol, bytes));
            self.known.insert(name.to_owned(), text.clone());
            self.item(text);
        }
    }

    /// Says that a function in assembly is called so often for an image.
    pub(crate) fn calls(&mut self, assembly: &str, times: usize) {
        let each = self.executed.get(assembly).copied().unwrap_or(0);
        self.work.assembly += count_to_u64(each * times);
    }

    /// Says that functions in assembly execute so many instructions for an image.
    pub(crate) fn executes(&mut self, instructions: usize) {
        self.work.assembly += count_to_u64(instructions);
    }

    /// Says how often the loops of a function in C run for an image, the calls first. What its code depends on is said
    /// by `kind`, where it ends with `requantize` or another word for that with the rounding too.
    pub(crate) fn runs(&mut self, kind: &str, turns: &[usize]) {
        const ROUND: [&str; 4] = ["requantize", "requantizes", "leaky", "leakies"];
        let rounds = kind.split('_').any(|word| ROUND.contains(&word));
        match self.rounding.filter(|_| rounds) {
            Some(rounding) => self.work.add(&format!("{kind}_{}", rounding.name()), turns),
            None => self.work.add(kind, turns),
        }
    }

    /// What was said since this was asked.
    pub(crate) fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }

    /// The functions so far that are not inlined.
    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Items from here on may round so; it is the same in the whole network.
    pub(crate) fn rounds(&mut self, rounding: Rounding) {
        self.rounding = Some(rounding);
    }

    /// The functions that read and write integers of a storage, `at_u8` and `put_u8`, for items that
    /// mention them.
    pub(crate) fn access(&mut self, storage: Storage) {
        let values = [("P", "$P"), ("S", storage.short()), ("T", storage.ctype())];
        let (at, put) = match storage {
            Storage::Whole(_) => (include_str!("text/at.c"), include_str!("text/put.c")),
            Storage::Packed4 { is_signed } => {
                let at = [include_str!("text/at_u4.c"), include_str!("text/at_i4.c")];
                (at[usize::from(is_signed)], include_str!("text/put_4.c"))
            }
        };
        for (verb, text) in [("at", at), ("put", put)] {
            let name = format!("{verb}_{}", storage.short());
            if !self.known.contains_key(&name) {
                self.helpers.insert(self.items.len(), format!("{}_{name}(", self.prefix));
            }
            self.once(&name, fill(text, &values));
        }
    }

    /// The type `$P_rows`, of functions that compute some rows.
    pub(crate) fn declare_rows(&mut self) {
        self.once("rows", include_str!("text/rows.c"));
    }

    /// The argument that tells which of so many rows a call computes: one at a time where they flow.
    pub(crate) fn rows(&mut self, n: usize, flows: bool) -> String {
        self.declare_rows();
        if flows { ROWS.to_owned() } else { self.all_rows(n) }
    }

    /// All of so many rows, of an input that begins with its first, as a constant; gives its address.
    fn all_rows(&mut self, n: usize) -> String {
        let name = format!("all_{n}");
        if !self.known.contains_key(&name) {
            let text = format!("static const $P_rows $P_{name} = {{0, {n}, 0}};");
            self.known.insert(name.clone(), text.clone());
            self.object(8, text);
        }
        format!("&$P_{name}")
    }

    /// Adds a constant array; `ctype` is one of the fixed-width integer types.
    pub(crate) fn array(&mut self, ctype: &str, name: &str, values: impl IntoIterator<Item = i64>) {
        const COLUMNS: usize = 96;
        if self.is_draft {
            return;
        }
        let mut text = String::new();
        let mut line = String::from("   ");
        let mut count = 0;
        for value in values {
            // The smallest `int32_t` has no literal of its own.
            let literal = if value == i64::from(i32::MIN) {
                "-2147483647 - 1".to_owned()
            } else if ctype == "uint32_t" {
                format!("0x{value:08x}u")
            } else {
                value.to_string()
            };
            if line.len() + literal.len() + 2 > COLUMNS {
                text.push_str(&line);
                text.push('\n');
                line = String::from("   ");
            }
            write!(line, " {literal},").expect("a string takes everything");
            count += 1;
        }
        text.push_str(&line);
        // A user may place it in a section.
        let placed = format!("{}_WEIGHTS", self.prefix.to_uppercase());
        self.object(
            count * size(ctype),
            format!("{placed} static const {ctype} {name}[{count}] = {{\n{text}\n}};"),
        );
    }

    /// Adds the weights of a layer: an array, or a macro that stands for their address in the file. Gives the initializer
    /// of what [`Source::weights_member`] declares.
    pub(crate) fn weights(
        &mut self,
        ctype: &str,
        name: &str,
        values: impl IntoIterator<Item = i64>,
    ) -> String {
        let Some(file) = self.weight_file.as_mut().filter(|_| !self.is_draft) else {
            self.array(ctype, name, values);
            return name.to_owned();
        };
        let offset = file.add(size(ctype), values);
        self.item(format!("#define {name} ((const {ctype} *)(const void *)($P_file + {offset}))"));
        format!("{offset}u")
    }

    /// The declaration of a member `weights` that tells where weights of a type lie.
    pub(crate) fn weights_member(&self, ctype: &str) -> String {
        match self.weight_file {
            None => format!("const {ctype} *weights"),
            Some(_) => "uint32_t weights".to_owned(),
        }
    }

    /// Their address, where `l` points to what has that member.
    pub(crate) fn weights_address(&self, ctype: &str) -> String {
        match self.weight_file {
            None => "l->weights".to_owned(),
            Some(_) => {
                format!("(const {ctype} *)(const void *)({}_file + l->weights)", self.prefix)
            }
        }
    }

    /// The file of weights, where they lie in one.
    pub(crate) fn weight_file(&self) -> Option<Vec<u8>> {
        self.weight_file.as_ref().map(WeightFile::finish)
    }

    /// Adds the functions that take that file.
    fn take_weight_file(&mut self) {
        let upper = self.prefix.to_uppercase();
        let values = WeightFile::checked();
        let mut values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        values.extend([("P", self.prefix.as_str()), ("N", &upper)]);
        let text = fill(include_str!("text/weight_file.c"), &values);
        let symbols = ["checksum", "load"].map(|name| format!("{}_{name}", self.prefix));
        self.functions.push(Function::named("weightfile", symbols.into()));
        self.object(CHECK_BYTES, text);
    }

    /// Adds a constant of that many bytes.
    pub(crate) fn object(&mut self, bytes: usize, text: impl Into<String>) {
        self.constant_bytes += bytes;
        self.item(text);
    }

    /// The items, an empty line between each two.
    pub(crate) fn text(&self) -> String {
        let is_printed = |i: usize| {
            self.helpers.get(&i).is_none_or(|name| {
                self.items.iter().enumerate().any(|(j, item)| i != j && item.contains(name))
            })
        };
        let printed = self.items.iter().enumerate().filter(|&(i, _)| is_printed(i));
        printed.map(|(_, item)| item.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// Bytes of a C integer.
fn size(ctype: &str) -> usize {
    match ctype {
        "int8_t" | "uint8_t" => 1,
        "int16_t" | "uint16_t" => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        let values = [("P", "net"), ("X", "uint8_t"), ("N", "NET"), ("N_A", "a")];
        assert_eq!(
            fill("$P_f($X *x) $N_SIZE $N_A $(CC) $@", &values),
            "net_f(uint8_t *x) NET_SIZE a $(CC) $@"
        );
    }

    #[test]
    fn an_item_is_printed_once_and_constants_are_counted() {
        let mut source = Source::new(&COptions::new("net"), Slopes::None);
        source.once("clamp", "int $P_clamp;");
        source.once("clamp", "int $P_clamp;");
        source.array("int16_t", "net_bias", [1, -2, 3]);
        assert_eq!(source.constant_bytes(), 6);
        let expected = "int net_clamp;\n\nNET_WEIGHTS static const int16_t net_bias[3] = {\n    1, -2, 3,\n};\n";
        assert_eq!(source.text(), expected);
    }

    #[test]
    fn access_is_printed_where_it_is_needed() {
        let mut source = Source::new(&COptions::new("net"), Slopes::None);
        source.access(Storage::Whole(Element::U8));
        source.item("int f(void) { return net_at_u8(0, 0); }");
        let text = source.text();
        assert!(text.contains("int32_t net_at_u8(") && !text.contains("net_put_u8("), "{text}");
    }

    #[test]
    fn the_type_of_a_bias_holds_all() {
        assert_eq!(bias_type(&[-32768, 32767]), "int16_t");
        assert_eq!(bias_type(&[1, 32768]), "int32_t");
    }
}
