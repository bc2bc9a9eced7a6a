//! C99 for microcontrollers: one header, one source file with its constants, nothing else needed.
//!
//! The code equals the integer executor bit for bit. Each operator prints itself; here are the
//! order, the arena and the interface.

pub mod code;
pub(crate) mod conv;
pub(crate) mod cpu;
mod files;
pub(crate) mod fold_reshape;
pub(crate) mod node;
pub(crate) mod options;
mod ports;
pub(crate) mod source;

pub use code::Code;
pub use cpu::{Cpu, Optimization};
pub use node::{CNode, CStep, CValue};
pub use options::{Arena, COptions, CodeStyle, Core, WeightStorage};
pub use source::{Source, Storage};

use crate::{
    emit::names::{Alphabet, Names, identifier},
    error::EmitError,
    fixed_graph::{FixedGraph, FixedNode},
    fixed_operator::Place,
    layout::Layout,
    memory::MemoryPlan,
    ops::FixedReshape,
};
use fixedwise_fixed::Format;
pub(crate) use fold_reshape::fold_reshapes;
use ports::CPort;
use source::{Slopes, fill};

/// The kernel of a value that is its input's memory, read in another shape.
const ANOTHER_NAME: &str = "alias";

/// An image and what the executor makes of it, for the printed test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Golden {
    /// The integers of each input, in the order of the network's inputs.
    pub inputs: Vec<Vec<i64>>,
    /// The integers of each result, in the order of the network's outputs.
    pub outputs: Vec<Vec<i64>>,
}

/// What a node became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CLayer {
    /// The node.
    pub name: String,
    /// The kernel that computes it.
    pub kernel: &'static str,
    /// Format of its weights, where it has any.
    pub weights: Option<Format>,
    /// Format of its bias, where a plan gave it one; else it is at the scale of the sum.
    pub bias: Option<Format>,
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
    /// Bytes of constants: weights, biases and what describes layers.
    pub constant_bytes: usize,
    /// What its code is made of.
    pub code: Code,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Node by node.
    pub layers: Vec<CLayer>,
    /// Where values and scratch memory lie in the arena.
    pub memory: MemoryPlan,
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
    if fixed.output_nodes().iter().all(|id| fixed.inputs.contains(id)) {
        return Err(EmitError::Empty);
    }
    let fixed = &fold_reshapes(fixed);
    let project = print(fixed, options, golden, Slopes::None)?;
    if !project.misses_slopes {
        return Ok(project.c);
    }
    Ok(print(fixed, options, golden, Slopes::Printed)?.c)
}

/// What was printed, and whether slopes are missing in it.
struct Print {
    c: CProject,
    misses_slopes: bool,
}

/// Prints a network with or without slopes in its requantizations.
fn print(
    fixed: &FixedGraph,
    options: &COptions,
    golden: &[Golden],
    slopes: Slopes,
) -> Result<Print, EmitError> {
    let mut source = Source::new(&options.name, options.style, slopes);
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
        let step = match node.op.place() {
            Place::Alias(_) => CStep { kernel: ANOTHER_NAME, ..CStep::default() },
            Place::Apart | Place::Over(_) | Place::OverAlike(_) | Place::Stored => {
                node.op.emit_c(&mut printed)?
            }
        };
        layers.push(CLayer {
            name: node.name.clone(),
            kernel: step.kernel,
            weights: step.weights,
            bias: step.bias,
            constant_bytes: source.constant_bytes() - before,
            storage: values[id].storage,
            value_bytes: values[id].bytes(),
            scratch_bytes: step.scratch_bytes,
        });
        steps.push(step);
    }
    let layout = Layout::new(fixed);
    let element_bits: Vec<usize> = values.iter().map(|value| value.storage.bits()).collect();
    let scratch_bytes: Vec<usize> = steps.iter().map(|step| step.scratch_bytes).collect();
    let memory = layout.plan(&element_bits, &scratch_bytes);
    let (inputs, outputs) = (CPort::inputs(fixed, &values), CPort::outputs(fixed, &values));
    let ports = (inputs.as_slice(), outputs.as_slice());
    let body = run_body(fixed, &names, &values, &steps, (&layout, &memory), ports);
    let code = Code::new(source.functions(), &body, outputs.len());
    let printed = files::Printed {
        fixed,
        options,
        inputs: &inputs,
        outputs: &outputs,
        items: source.text(),
        body,
        arena_bytes: memory.bytes,
        constant_bytes: source.constant_bytes(),
        code: &code,
        layers: &layers,
        golden,
    };
    let files = printed.files();
    let (constant_bytes, arena_bytes) = (source.constant_bytes(), memory.bytes);
    let c = CProject { files, constant_bytes, code, arena_bytes, layers, memory };
    Ok(Print { c, misses_slopes: source.misses_slopes() })
}

/// Values as C has them.
fn values(fixed: &FixedGraph, options: &COptions) -> Vec<CValue> {
    let packs = packs(fixed, options);
    let value = |(node, packs): (&FixedNode, bool)| CValue::new(node.shape, node.format, packs);
    fixed.nodes.iter().zip(packs).map(value).collect()
}

/// Whether the integers of each value lie two to a byte where they have at most 4 bits. The caller's, and what a
/// reshape gives another name, stay whole.
pub(crate) fn packs(fixed: &FixedGraph, options: &COptions) -> Vec<bool> {
    let mut packs = vec![options.packs_activations; fixed.nodes.len()];
    let is_stored = |id: &usize| fixed.nodes[*id].op.place() == Place::Stored;
    let stored = (0..fixed.nodes.len()).filter(is_stored);
    stored.chain(fixed.inputs.iter().copied()).for_each(|id| packs[id] = false);
    fixed.output_nodes().into_iter().for_each(|id| packs[id] = false);
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
    packs
}

/// The statements of the function that runs the network.
fn run_body(
    fixed: &FixedGraph,
    names: &[String],
    values: &[CValue],
    steps: &[CStep],
    (layout, memory): (&Layout, &MemoryPlan),
    (inputs, outputs): (&[CPort], &[CPort]),
) -> String {
    // The first of the results that share a memory is computed there.
    let holders: Vec<usize> = fixed.output_nodes().iter().map(|&id| layout.holder(id)).collect();
    let first = |root: usize| holders.iter().position(|&holder| holder == root);
    let place = |id: usize, is_read: bool| -> String {
        let constant = if is_read { "const " } else { "" };
        let root = layout.holder(id);
        if let Some(input) = fixed.inputs.iter().position(|&input| input == root) {
            inputs[input].parameter()
        } else if fixed.nodes[root].op.place() == Place::Stored {
            names[root].clone()
        } else if let Some(output) = first(root) {
            outputs[output].parameter()
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
    for (i, (output, &root)) in outputs.iter().zip(&holders).enumerate() {
        let is_computed =
            !fixed.inputs.contains(&root) && fixed.nodes[root].op.place() != Place::Stored;
        if !is_computed || first(root) != Some(i) {
            body.push_str(&output.copy(&place(root, true)));
        }
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
