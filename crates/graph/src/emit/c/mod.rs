//! C99 for microcontrollers: one header, one source file with its constants, nothing else needed.
//!
//! The code equals the integer executor bit for bit. Each operator prints itself; here are the
//! order, the arena and the interface.

mod conv;
mod files;
mod fold_reshape;
mod node;
mod source;

pub(crate) use conv::emit_conv;
pub use node::{CNode, CStep, CValue};
pub use source::{Source, Storage};

use crate::{
    emit::names::{Alphabet, Names, identifier},
    error::EmitError,
    fixed_graph::FixedGraph,
    memory::{MemoryNode, MemoryPlan},
    ops::FixedReshape,
};
use source::fill;

/// What code may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Core {
    /// C99 alone.
    #[default]
    Portable,
    /// With the DSP extension: Cortex-M4, M7, M33.
    Dsp,
    /// With the M-profile vector extension (Helium): Cortex-M55.
    Mve,
}

/// Where working memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arena {
    /// The caller gives it: the function is reentrant.
    #[default]
    Caller,
    /// A static array of the file.
    Static,
}

/// The kernel of a value that is its input's memory, read in another shape.
pub(crate) const ANOTHER_NAME: &str = "another name";

/// How weights are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightStorage {
    /// At the smallest of these widths that holds the format; 8 and 16 are C types, others are
    /// packed into bytes.
    Widths(Vec<u8>),
    /// As a stream at exactly the format's width.
    Exact,
}

/// How a network is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct COptions {
    /// What every name begins with; a C identifier.
    pub name: String,
    /// What code may be used.
    pub core: Core,
    /// How weights are stored.
    pub weights: WeightStorage,
    /// Whether intermediate values of at most 4 bits lie two to a byte: half the memory, slower.
    pub packs_activations: bool,
    /// Where working memory comes from.
    pub arena: Arena,
}

impl COptions {
    /// For any C compiler: weights packed to 1, 2, 4, 8 or 16 bits, the arena given by the caller.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            core: Core::Portable,
            weights: WeightStorage::Widths(vec![1, 2, 4, 8, 16]),
            packs_activations: false,
            arena: Arena::Caller,
        }
    }

    /// The bits one weight of a format takes.
    pub(crate) fn stored_weight_bits(&self, bits: u8) -> u8 {
        match &self.weights {
            WeightStorage::Widths(widths) => {
                widths.iter().copied().filter(|&width| width >= bits).min().unwrap_or(16)
            }
            WeightStorage::Exact => bits,
        }
    }
}

/// An image and what the executor makes of it, for the printed test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// The input's integers.
    pub input: Vec<i64>,
    /// The result's integers.
    pub output: Vec<i64>,
}

/// What a node became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CLayer {
    /// The node.
    pub name: String,
    /// The kernel that computes it.
    pub kernel: &'static str,
    /// Bytes of its constants.
    pub constant_bytes: usize,
    /// How its value lies in memory.
    pub storage: Storage,
    /// Bytes of its value.
    pub value_bytes: usize,
    /// Bytes of working memory while it runs.
    pub scratch_bytes: usize,
}

/// A printed network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CProject {
    /// Names without folder, and contents, in the order in which a reader wants them.
    pub files: Vec<(String, String)>,
    /// Bytes of constants: weights, biases and what describes layers; code comes on top.
    pub constant_bytes: usize,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Node by node.
    pub layers: Vec<CLayer>,
}

/// Prints a network.
///
/// # Errors
/// [`EmitError`] for a name that is not a C identifier, or a node that C has no form of.
pub fn emit(
    fixed: &FixedGraph,
    options: &COptions,
    golden: &[Golden],
) -> Result<CProject, EmitError> {
    check_name(&options.name)?;
    if fixed.output == 0 {
        return Err(EmitError::Empty);
    }
    let fixed = &fold_reshape::fold_reshapes(fixed);
    let mut source = Source::new(&options.name);
    let names = identifiers(fixed, &options.name);
    let values = values(fixed, options);
    let (mut steps, mut layers) = (Vec::new(), Vec::new());
    for (id, node) in fixed.nodes.iter().enumerate() {
        let before = source.constant_bytes();
        let mut printed = CNode {
            name: names[id].clone(),
            inputs: node.inputs.iter().map(|&input| values[input]).collect(),
            output: values[id],
            options,
            source: &mut source,
        };
        let step = node.op.emit_c(&mut printed)?;
        layers.push(CLayer {
            name: node.name.clone(),
            kernel: step.kernel,
            constant_bytes: source.constant_bytes() - before,
            storage: values[id].storage,
            value_bytes: values[id].bytes(),
            scratch_bytes: step.scratch_bytes,
        });
        steps.push(step);
    }
    let memory = plan_memory(fixed, &values, &steps);
    let body = run_body(fixed, &names, &values, &steps, &memory);
    let printed = files::Printed {
        fixed,
        options,
        input: values[0],
        output: values[fixed.output],
        items: source.text(),
        body,
        arena_bytes: memory.bytes,
        constant_bytes: source.constant_bytes(),
        layers: &layers,
        golden,
    };
    let files = printed.files();
    let (constant_bytes, arena_bytes) = (source.constant_bytes(), memory.bytes);
    Ok(CProject { files, constant_bytes, arena_bytes, layers })
}

/// Values as C has them. The caller's, and what a reshape gives another name, stay whole.
fn values(fixed: &FixedGraph, options: &COptions) -> Vec<CValue> {
    let mut packs = vec![options.packs_activations; fixed.nodes.len()];
    packs[0] = false;
    packs[fixed.output] = false;
    for (id, node) in fixed.nodes.iter().enumerate().rev() {
        if node.op.is::<FixedReshape>() {
            packs[node.inputs[0]] &= packs[id];
        }
    }
    for (id, node) in fixed.nodes.iter().enumerate() {
        if node.op.is::<FixedReshape>() {
            packs[id] &= packs[node.inputs[0]];
        }
    }
    let value =
        |(id, node): (usize, &crate::FixedNode)| CValue::new(node.shape, node.format, packs[id]);
    fixed.nodes.iter().enumerate().map(value).collect()
}

/// The node whose memory holds each value: another where a value is its input under a new name.
fn storage(fixed: &FixedGraph, steps: &[CStep]) -> Vec<usize> {
    let mut storage: Vec<usize> = Vec::with_capacity(steps.len());
    for (id, (node, step)) in fixed.nodes.iter().zip(steps).enumerate() {
        let is_alias = step.call.is_empty() && !node.inputs.is_empty();
        storage.push(if is_alias { storage[node.inputs[0]] } else { id });
    }
    storage
}

fn plan_memory(fixed: &FixedGraph, values: &[CValue], steps: &[CStep]) -> MemoryPlan {
    let storage = storage(fixed, steps);
    let nodes: Vec<MemoryNode> = fixed
        .nodes
        .iter()
        .enumerate()
        .map(|(id, node)| {
            let is_alias = storage[id] != id;
            let is_external = id == 0 || id == storage[fixed.output];
            MemoryNode {
                inputs: if is_alias {
                    Vec::new()
                } else {
                    node.inputs.iter().map(|&input| storage[input]).collect()
                },
                bytes: if is_alias { 0 } else { values[id].bytes() },
                scratch_bytes: steps[id].scratch_bytes,
                is_external: is_alias || is_external,
                alias: None,
                in_place: if is_external { Vec::new() } else { steps[id].in_place.clone() },
            }
        })
        .collect();
    MemoryPlan::new(&nodes, storage[fixed.output])
}

/// The statements of the function that runs the network.
fn run_body(
    fixed: &FixedGraph,
    names: &[String],
    values: &[CValue],
    steps: &[CStep],
    memory: &MemoryPlan,
) -> String {
    let storage = storage(fixed, steps);
    let place = |id: usize, is_read: bool| -> String {
        let constant = if is_read { "const " } else { "" };
        let root = storage[id];
        if root == 0 {
            "input".to_owned()
        } else if root == storage[fixed.output] {
            "output".to_owned()
        } else {
            let offset = memory.offsets[root].expect("what is not the caller's has a place");
            format!("({constant}{} *)(memory + {offset})", values[id].ctype())
        }
    };
    let mut body = String::new();
    for (id, (node, step)) in fixed.nodes.iter().zip(steps).enumerate() {
        if step.call.is_empty() {
            continue;
        }
        let scratch = memory.scratch_offsets[id];
        let scratch = scratch.map_or("0".to_owned(), |offset| format!("memory + {offset}"));
        let mut known = vec![("P".to_owned(), "$P".to_owned()), ("Y".to_owned(), place(id, false))];
        known.push(("SCRATCH".to_owned(), scratch));
        known.extend(
            node.inputs.iter().enumerate().map(|(i, &x)| (format!("X{i}"), place(x, true))),
        );
        let known: Vec<(&str, &str)> =
            known.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        for line in fill(&step.call, &known).lines() {
            body.push_str(&format!("    {line}\n"));
        }
        let bytes = values[id].bytes();
        body.push_str(&format!(
            "    $DUMP({id}, {}, {bytes}); /* {} */\n",
            place(id, true),
            names[id]
        ));
    }
    body
}

/// A C identifier for each node. Its number keeps it apart from other nodes' constants and from what has the
/// prefix alone, such as the interface.
fn identifiers(fixed: &FixedGraph, prefix: &str) -> Vec<String> {
    let mut names = Names::new(Alphabet::Identifier);
    let nodes = fixed.nodes.iter().enumerate();
    nodes.map(|(id, node)| names.unique(&format!("{prefix}_{id}_{}", node.name))).collect()
}

/// The name of the files for a network: its own, made an identifier, and another where [`check_name`] would
/// refuse that.
pub fn default_name(network: &str) -> String {
    let name = identifier(network);
    if check_name(&name).is_ok() { name } else { format!("{name:.59}_net") }
}

/// Refuses what is not a C identifier, whose header would hide one of the C library, and targets that build
/// tools have already.
///
/// # Errors
/// [`EmitError::Name`].
pub fn check_name(name: &str) -> Result<(), EmitError> {
    const WORDS: &[&str] = &[
        "auto",
        "break",
        "case",
        "char",
        "class",
        "const",
        "continue",
        "default",
        "delete",
        "do",
        "double",
        "else",
        "enum",
        "export",
        "extern",
        "float",
        "for",
        "friend",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "namespace",
        "new",
        "operator",
        "private",
        "protected",
        "public",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "throw",
        "try",
        "typedef",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
    ];
    // What CMake and make keep for themselves stands at the end.
    const OTHERS: &[&str] = &[
        "assert", "complex", "ctype", "errno", "fenv", "inttypes", "iso646", "limits", "locale",
        "math", "setjmp", "signal", "stdarg", "stdbool", "stddef", "stdint", "stdio", "stdlib",
        "string", "tgmath", "time", "wchar", "wctype", "all", "clean", "help", "install",
        "package", "test",
    ];
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(is_word)
        && name.len() <= 63
        && !WORDS.contains(&name)
        && !OTHERS.contains(&name);
    if is_name { Ok(()) } else { Err(EmitError::Name { name: name.to_owned() }) }
}
