//! How many bytes of code a compiler makes of a printed network: the sum over its functions, each measured once for
//! every core, or counted where it is assembly, and over the calls of the function that runs the network.

mod table;
pub(crate) mod thumb;

use super::{
    cpu::{Cpu, Optimization},
    options::CodeStyle,
};
use fixedwise_fixed::{Rounding, convert::count_to_u64};
pub use table::compiler;

/// A part of the file whose functions are not inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What its code depends on: words separated by `_`, the first one the kernel.
    pub kind: String,
    /// Names of its functions in the file.
    pub symbols: Vec<String>,
    /// Bytes, where it is assembly made for the layer.
    pub assembly_bytes: Option<usize>,
}

impl Function {
    /// Of an item of the file; `None` where it has only types and what is inlined.
    pub(crate) fn of(
        kind: &str,
        text: &str,
        rounding: Option<Rounding>,
        style: CodeStyle,
    ) -> Option<Self> {
        let symbols: Vec<String> = text
            .lines()
            .filter(|line| line.contains("_FUNCTION ") || line.contains("_ASSEMBLY "))
            .filter_map(|line| Some(line.split_once('(')?.0.rsplit_once(' ')?.1.to_owned()))
            .collect();
        if symbols.is_empty() {
            return None;
        }
        // Rounding is part of what is inlined.
        let rounds = ["_requantize(", "_requantize_each("].iter().any(|call| text.contains(call));
        // A layer's own function calls others whose names end so.
        let rounds = rounds && !kind.starts_with("layer");
        let is_own = matches!(kind, "requantize" | "requantize_wide");
        let kind = match rounding.filter(|_| rounds || is_own) {
            None => kind.to_owned(),
            Some(_) if style == CodeStyle::Small && !is_own => format!("{kind}-called"),
            Some(rounding) => format!("{kind}-{}", rounding.name()),
        };
        Some(Self { kind, symbols, assembly_bytes: None })
    }

    /// Of functions that are named.
    pub(crate) fn named(kind: &str, symbols: Vec<String>) -> Self {
        Self { kind: kind.to_owned(), symbols, assembly_bytes: None }
    }

    /// Of a function in assembly.
    pub(crate) fn assembly(kind: &str, symbol: String, bytes: usize) -> Self {
        Self { kind: kind.to_owned(), symbols: vec![symbol], assembly_bytes: Some(bytes) }
    }
}

/// What an argument of a call is, in a register or on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Argument {
    /// A number of one byte.
    Small,
    /// Any other number.
    Large,
    /// Address of a constant.
    Constant,
    /// Address in the arena.
    Memory,
    /// A pointer that the caller gave.
    Pointer,
    /// A member of what a pointer points to.
    Member,
}

impl Argument {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Small, Self::Large, Self::Constant, Self::Memory, Self::Pointer, Self::Member];

    /// As the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
            Self::Constant => "constant",
            Self::Memory => "memory",
            Self::Pointer => "pointer",
            Self::Member => "member",
        }
    }

    fn of(text: &str) -> Self {
        // Without a cast.
        let text = text.rsplit_once(" *)").map_or(text, |(_, rest)| rest).trim();
        let text = text.trim_matches(['(', ')']);
        if text.contains("c->") {
            return Self::Member;
        }
        if text.starts_with("memory") {
            return Self::Memory;
        }
        if text.starts_with("input") || text.starts_with("output") {
            return Self::Pointer;
        }
        match text.parse::<i64>() {
            Ok(0..=255) => Self::Small,
            Ok(_) => Self::Large,
            Err(_) => Self::Constant,
        }
    }
}

/// What the code of a printed network is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Functions that layers share or that are a layer's own.
    pub functions: Vec<Function>,
    /// The arguments of each call in the function that runs the network.
    pub calls: Vec<Vec<Argument>>,
    /// The results: each has a function that tells its class.
    pub results: usize,
    /// How many stages the parts have whose rows flow, by part.
    pub stages: Vec<usize>,
    /// Whether the input is taken row by row.
    pub takes_rows: bool,
}

/// Arguments that are passed in registers: of Arm, and of RISC-V.
pub const fn registers(cpu: Cpu) -> usize {
    if matches!(cpu, Cpu::Rv32imc) { 8 } else { 4 }
}

impl Code {
    /// Of a network with so many results, the function that runs it, and the functions of its parts.
    pub(crate) fn new(
        functions: &[Function],
        (body, parts): (&str, &[String]),
        results: usize,
        takes_rows: bool,
    ) -> Self {
        let bodies = parts.iter().map(String::as_str).chain([body]);
        let statements = bodies.flat_map(|body| body.split(['{', ';']));
        let statements =
            statements.filter(|text| !text.contains("DUMP(") && !text.contains("FUNCTION"));
        let statements =
            statements.map(|text| text.rsplit_once("*/").map_or(text, |(_, call)| call));
        let statements = statements.filter(|text| !text.trim().starts_with("if "));
        let stages = parts.iter().map(|part| part.matches("case ").count()).collect();
        let call = |text: &str| {
            let (_, arguments) = text.trim().split_once('(')?;
            let arguments = arguments.strip_suffix(')')?;
            Some(arguments.split(',').map(|text| Argument::of(text.trim())).collect())
        };
        let calls = statements.filter_map(call).collect();
        Self { functions: functions.to_vec(), calls, results, stages, takes_rows }
    }

    /// Bytes of all functions of the file.
    pub fn bytes(&self, cpu: Cpu, optimization: Optimization) -> u64 {
        self.parts(cpu, optimization).into_iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes by the kind of function; those that every network has come last.
    pub fn parts(&self, cpu: Cpu, optimization: Optimization) -> Vec<(&str, u64)> {
        let of = |kind: &str| table::bytes(kind, cpu, optimization).unwrap_or(0);
        let functions = self.functions.iter().map(|function| {
            let counted = function.assembly_bytes.map(count_to_u64);
            let bytes = counted.unwrap_or_else(|| of(&function.kind)).next_multiple_of(4);
            (function.kind.as_str(), bytes)
        });
        let call = |arguments: &Vec<Argument>| -> u64 {
            let argument = |(i, argument): (usize, &Argument)| {
                let place = if i < registers(cpu) { "register" } else { "stack" };
                of(&format!("argument_{place}_{}", argument.name()))
            };
            of("call") + arguments.iter().enumerate().map(argument).sum::<u64>()
        };
        // In tenths of bytes: on the average they are no whole numbers.
        let run = (of("run") + self.calls.iter().map(call).sum::<u64>()).div_ceil(10);
        let argmax = count_to_u64(self.results) * of("argmax").next_multiple_of(4);
        let taking = if self.takes_rows { of("taking") } else { 0 };
        let part = |&stages: &usize| (of("part") + count_to_u64(stages) * of("stage")).div_ceil(10);
        let parts = self.stages.iter().map(part).map(|bytes| bytes.next_multiple_of(4)).sum();
        let own = [("run", run), ("argmax", argmax), ("taking", taking), ("part", parts)];
        functions.chain(own.map(|(kind, bytes)| (kind, bytes.next_multiple_of(4)))).collect()
    }

    /// Functions that differ from all that were measured in a way that was not; their bytes are about right.
    pub fn unknown(&self, cpu: Cpu) -> Vec<&str> {
        let is_unknown = |function: &&Function| {
            function.assembly_bytes.is_none() && !table::knows(&function.kind, cpu)
        };
        self.functions.iter().filter(is_unknown).map(|function| function.kind.as_str()).collect()
    }
}
