//! C99 for microcontrollers: one header, one source file with its constants, nothing else needed.
//!
//! The code equals the integer executor bit for bit. Each operator prints itself; here are the
//! order, the arena and the interface.

pub mod code;
pub(crate) mod conv;
pub(crate) mod cpu;
mod files;
mod flow;
pub(crate) mod fold_reshape;
pub(crate) mod node;
pub(crate) mod options;
mod package;
mod ports;
pub(crate) mod source;
mod weight_file;
pub(crate) mod work;

pub use code::Code;
pub use cpu::{Cpu, Optimization};
pub use node::{CNode, CStep, CValue};
pub use options::{Arena, COptions, CodeStyle, Core, WeightCode, WeightPlace, WeightStorage};
pub use package::Package;
pub use source::{Source, Storage};
pub use work::{Run as WorkRun, Work};

use crate::{
    emit::names::{Alphabet, Names, identifier},
    error::EmitError,
    fixed_graph::{FixedGraph, FixedNode},
    fixed_operator::{Flow, Place},
    graph::NodeId,
    layout::{Layout, Needs, Placement},
    memory::MemoryPlan,
    ops::FixedReshape,
    schedule::{Costs, Schedule},
};
use fixedwise_fixed::{Format, convert::count_to_u64};
use flow::FlowPart;
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
    /// How its weights lie in memory.
    pub weight_code: WeightCode,
    /// Format of its bias, where a plan gave it one; else it is at the scale of the sum.
    pub bias: Option<Format>,
    /// Bytes of its constants.
    pub constant_bytes: usize,
    /// How its value lies in memory.
    pub storage: Storage,
    /// Bytes that are held of its value.
    pub value_bytes: usize,
    /// Rows that are held of its value, where that is not all of them.
    pub rows: Option<usize>,
    /// Bytes of working memory while it runs.
    pub scratch_bytes: usize,
    /// What is executed for an image.
    pub work: Work,
}

/// A printed network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CProject {
    /// Paths in the folder of the package, and contents: the header first, then the source.
    pub files: Vec<(String, String)>,
    /// Path and bytes of the file that weights lie in, where they do.
    pub weight_file: Option<(String, Vec<u8>)>,
    /// Bytes of constants: weights, biases and what describes layers.
    pub constant_bytes: usize,
    /// What its code is made of.
    pub code: Code,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Node by node.
    pub layers: Vec<CLayer>,
    /// What is executed for an image to compute rows in their order.
    pub flow_work: Work,
    /// What is computed whole and what row by row.
    pub schedule: Schedule,
    /// Where values and scratch memory lie in the arena; a step is a part of the schedule.
    pub memory: MemoryPlan,
    /// Whether the network takes its input row by row.
    pub takes_rows: bool,
}

impl CProject {
    /// Instructions that are executed for an image.
    pub fn instructions(&self, cpu: Cpu, optimization: Optimization) -> u64 {
        let works = self.layers.iter().map(|layer| &layer.work).chain([&self.flow_work]);
        works.map(|work| work.instructions(cpu, optimization)).sum()
    }
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
    options.package.check(&options.name, options.arena == Arena::Static)?;
    let is_coded = options.place == WeightPlace::Coded && options.style == CodeStyle::Fast;
    if is_coded && options.core == Core::Mve {
        return Err(EmitError::Coded { kernels: "mve" });
    }
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

/// Bytes of working memory of each node's step, where it is computed whole and where row by row, and where weights have
/// bits of their own: no other code of them raises the peak.
///
/// # Errors
/// As [`emit`].
pub(crate) fn scratch_bytes(
    fixed: &FixedGraph,
    options: &COptions,
) -> Result<[Vec<usize>; 2], EmitError> {
    let (names, values) = (identifiers(fixed, &options.name), values(fixed, options));
    let nodes = Nodes { fixed, options, names: &names, values: &values };
    let (needs, _) = nodes.needs(&Layout::new(fixed), Slopes::None, WeightCode::Fields)?;
    Ok([needs.scratch_bytes, needs.row_scratch_bytes])
}

/// What was printed, and whether slopes are missing in it.
struct Print {
    c: CProject,
    misses_slopes: bool,
}

/// Prints a network with or without slopes in its requantizations; weights take fewer bits than their formats have where
/// constants and code together are less, in that way that takes least.
fn print(
    fixed: &FixedGraph,
    options: &COptions,
    golden: &[Golden],
    slopes: Slopes,
) -> Result<Print, EmitError> {
    let print = |code: WeightCode| print_as(fixed, options, golden, slopes, code);
    let bytes = |Print { c, .. }: &Print| {
        let file = c.weight_file.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let code = c.code.bytes(options.cpu, options.style.optimization());
        count_to_u64(c.constant_bytes + file) + code
    };
    let mut all = vec![print(WeightCode::Digits)?];
    let is_of_fields = |layer: &CLayer| layer.weight_code == WeightCode::Fields;
    if !all[0].c.layers.iter().all(is_of_fields) {
        all.insert(0, print(WeightCode::Fields)?);
    }
    if options.place == WeightPlace::Coded {
        all.push(print(WeightCode::Codes)?);
    }
    // The first of those that take as few.
    Ok(all.into_iter().min_by_key(bytes).expect("one at least"))
}

/// The same with weights in that code, where kernels and memory allow it.
fn print_as(
    fixed: &FixedGraph,
    options: &COptions,
    golden: &[Golden],
    slopes: Slopes,
    code: WeightCode,
) -> Result<Print, EmitError> {
    let names = identifiers(fixed, &options.name);
    let values = values(fixed, options);
    let nodes = Nodes { fixed, options, names: &names, values: &values };
    let layout = Layout::new(fixed);
    let (codes, Placement { schedule, memory }) = nodes.place(&layout, slopes, code)?;
    let mut source = Source::new(options, slopes);
    let (mut steps, mut layers) = (Vec::new(), Vec::new());
    for part in &schedule.parts {
        for id in part.nodes.clone() {
            let before = source.constant_bytes();
            let step = nodes.emit(id, part.flow.is_some(), codes[id], &mut source)?;
            let work = nodes.work(id, part.flow.is_some(), &step, source.take_work());
            let held = schedule.held(id).filter(|&held| held < fixed.nodes[id].shape.h);
            let value_bytes =
                held.map_or_else(|| values[id].bytes(), |rows| rows * values[id].row_bytes());
            layers.push(CLayer {
                name: fixed.nodes[id].name.clone(),
                kernel: step.kernel,
                weights: step.weights,
                weight_code: step.weight_code,
                bias: step.bias,
                constant_bytes: source.constant_bytes() - before,
                storage: values[id].storage,
                value_bytes,
                rows: held,
                scratch_bytes: step.scratch_bytes,
                work,
            });
            steps.push(step);
        }
    }
    let (inputs, outputs) = (CPort::inputs(fixed, &values), CPort::outputs(fixed, &values));
    let run = Run {
        nodes: &nodes,
        layout: &layout,
        memory: &memory,
        steps: &steps,
        inputs: &inputs,
        outputs: &outputs,
    };
    let body = run.body(&schedule, &mut source);
    let flow_work = source.take_work();
    let takes_rows = !body.taking.is_empty();
    let bodies = (body.rest.as_str(), source.parts());
    let code = Code::new(source.functions(), bodies, outputs.len(), takes_rows);
    let weight_file = source.weight_file();
    let printed = files::Printed {
        fixed,
        options,
        inputs: &inputs,
        outputs: &outputs,
        items: source.text(),
        body: &body,
        arena_bytes: memory.bytes,
        constant_bytes: source.constant_bytes(),
        code: &code,
        layers: &layers,
        golden,
        weight_file: weight_file.as_deref(),
    };
    let files = printed.files();
    // Beside the source.
    let path = files[1].0.strip_suffix(".c").map(|path| format!("{path}.weights"));
    let weight_file = path.zip(weight_file);
    let (constant_bytes, arena_bytes) = (source.constant_bytes(), memory.bytes);
    let c = CProject {
        files,
        weight_file,
        constant_bytes,
        code,
        arena_bytes,
        layers,
        flow_work,
        schedule,
        memory,
        takes_rows,
    };
    Ok(Print { c, misses_slopes: source.misses_slopes() })
}

/// Nodes to print.
struct Nodes<'a> {
    fixed: &'a FixedGraph,
    options: &'a COptions,
    names: &'a [String],
    values: &'a [CValue],
}

impl Nodes<'_> {
    /// Puts what a node needs into the file.
    fn emit(
        &self,
        id: NodeId,
        flows: bool,
        weight_code: WeightCode,
        source: &mut Source,
    ) -> Result<CStep, EmitError> {
        let node = &self.fixed.nodes[id];
        if matches!(node.op.place(), Place::Alias(_)) {
            return Ok(CStep { kernel: ANOTHER_NAME, ..CStep::default() });
        }
        let (mut output, mut inputs) = (
            self.values[id],
            node.inputs.iter().map(|&input| self.values[input]).collect::<Vec<_>>(),
        );
        let shapes: Vec<_> = inputs.iter().map(|value| value.shape).collect();
        if flows && node.op.flow(&shapes, node.shape) == Flow::Alike {
            inputs.iter_mut().chain([&mut output]).for_each(|value| value.shape.h = 1);
        }
        let (name, options) = (self.names[id].clone(), self.options);
        node.op.emit_c(&mut CNode { name, inputs, output, flows, weight_code, options, source })
    }

    /// What a node executes for an image, from what it said itself; else its kernel takes so much an element.
    fn work(&self, id: NodeId, flows: bool, step: &CStep, said: Work) -> Work {
        let (node, mut work) = (&self.fixed.nodes[id], said);
        if step.call.is_empty() {
            return Work::default();
        }
        if work == Work::default() {
            let kernel = step.kernel.replace([' ', '_'], "-");
            let calls = if flows { node.shape.h } else { 1 };
            work.add(&kernel, &[calls, node.shape.len()]);
            return work;
        }
        let shapes: Vec<_> = node.inputs.iter().map(|&input| self.values[input].shape).collect();
        let is_alike = flows && node.op.flow(&shapes, node.shape) == Flow::Alike;
        work.repeated(if is_alike { node.shape.h } else { 1 })
    }

    /// How the weights of each node lie, and how the network is computed: weights take fewer bits than their format has
    /// where what unpacks them does not raise the peak.
    fn place(
        &self,
        layout: &Layout,
        slopes: Slopes,
        code: WeightCode,
    ) -> Result<(Vec<WeightCode>, Placement), EmitError> {
        // Only where narrow widths are stored at all.
        let is_packed = self.options.stored_weight_bits(2) == 2;
        let code = if is_packed || code == WeightCode::Codes { code } else { WeightCode::Fields };
        let (of_codes, mut codes) = self.needs(layout, slopes, code)?;
        let placement = layout.plan(&of_codes);
        if code == WeightCode::Codes {
            // They were asked for, and what they save is flash.
            return Ok((vec![code; codes.len()], placement));
        }
        let unpacked = (0..codes.len()).filter(|&id| codes[id] != WeightCode::Fields);
        let unpacked: Vec<NodeId> = unpacked.collect();
        if unpacked.is_empty() {
            return Ok((codes, placement));
        }
        let (mut needs, _) = self.needs(layout, slopes, WeightCode::Fields)?;
        let most = layout.plan(&needs).memory.bytes;
        if placement.memory.bytes <= most {
            return Ok((codes, placement));
        }
        for id in unpacked {
            let mut tried = needs.clone();
            tried.scratch_bytes[id] = of_codes.scratch_bytes[id];
            tried.row_scratch_bytes[id] = of_codes.row_scratch_bytes[id];
            if layout.plan(&tried).memory.bytes <= most {
                needs = tried;
            } else {
                codes[id] = WeightCode::Fields;
            }
        }
        Ok((codes, layout.plan(&needs)))
    }

    /// What values and steps take of working memory, and how weights lie, where nothing but kernels and weights themselves
    /// is against that code.
    fn needs(
        &self,
        layout: &Layout,
        slopes: Slopes,
        code: WeightCode,
    ) -> Result<(Needs, Vec<WeightCode>), EmitError> {
        let n = self.fixed.nodes.len();
        let mut codes = vec![WeightCode::Fields; n];
        let mut scratch = |flows: bool| -> Result<Vec<usize>, EmitError> {
            let mut source = Source::draft(self.options, slopes);
            let bytes = |id: NodeId| {
                if flows && !layout.may_flow(id) {
                    return Ok(0);
                }
                let step = self.emit(id, flows, code, &mut source)?;
                codes[id] = step.weight_code;
                Ok(step.scratch_bytes)
            };
            (0..n).map(bytes).collect()
        };
        let flows = self.options.flows;
        let needs = Needs {
            element_bits: self.values.iter().map(|value| value.storage.bits()).collect(),
            scratch_bytes: scratch(false)?,
            row_scratch_bytes: if flows { scratch(true)? } else { vec![0; n] },
            flows,
        };
        Ok((needs, codes))
    }
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

/// The statements of the functions that run a network.
#[derive(Debug, Default)]
struct Body {
    /// Before the first row of the input, where rows are taken.
    begin: String,
    /// For each row.
    taking: String,
    /// After the last one, or with the whole input.
    rest: String,
    /// The buffers that rows lie in, where rows flow.
    buffers: String,
}

/// What runs.
struct Run<'a> {
    nodes: &'a Nodes<'a>,
    layout: &'a Layout,
    memory: &'a MemoryPlan,
    steps: &'a [CStep],
    inputs: &'a [CPort],
    outputs: &'a [CPort],
}

impl Run<'_> {
    /// The nodes that hold the results.
    fn holders(&self) -> Vec<NodeId> {
        let outputs = self.nodes.fixed.output_nodes();
        outputs.into_iter().map(|id| self.layout.holder(id)).collect()
    }

    /// The result that a node is computed as: the first of those that share a memory.
    fn result(&self, root: NodeId) -> Option<usize> {
        self.holders().iter().position(|&holder| holder == root)
    }

    /// Where a value lies, as an expression.
    fn place(&self, id: NodeId, is_read: bool) -> String {
        let fixed = self.nodes.fixed;
        let constant = if is_read { "const " } else { "" };
        let root = self.layout.holder(id);
        if let Some(input) = fixed.inputs.iter().position(|&input| input == root) {
            self.inputs[input].parameter()
        } else if fixed.nodes[root].op.place() == Place::Stored {
            self.nodes.names[root].clone()
        } else if let Some(output) = self.result(root) {
            self.outputs[output].parameter()
        } else {
            let offset = self.memory.offsets[root].expect("what is not the caller's has a place");
            format!("({constant}{} *)(memory + {offset})", self.nodes.values[id].ctype())
        }
    }

    /// Where the rows of a value lie: the arena is the first buffer, results and inputs follow.
    fn start(&self, id: NodeId) -> flow::Start {
        let root = self.layout.holder(id);
        let input = self.nodes.fixed.inputs.iter().position(|&input| input == root);
        let buffer = match (self.memory.offsets[root], self.result(root), input) {
            (Some(offset), ..) => return flow::Start { buffer: 0, offset },
            (_, Some(output), _) => 1 + output,
            (_, _, Some(input)) => 1 + self.outputs.len() + input,
            _ => unreachable!("rows lie in memory or in a buffer of the caller's"),
        };
        flow::Start { buffer, offset: 0 }
    }

    /// A node that is computed whole.
    fn statements(&self, id: NodeId) -> String {
        let (node, step) = (&self.nodes.fixed.nodes[id], &self.steps[id]);
        if step.call.is_empty() {
            return String::new();
        }
        let scratch = self.memory.scratch_offsets[id];
        let scratch = scratch.map_or("0".to_owned(), |offset| format!("memory + {offset}"));
        let mut known = vec![("P".to_owned(), "$P".to_owned())];
        known.push(("Y".to_owned(), self.place(id, false)));
        known.push(("SCRATCH".to_owned(), scratch));
        let inputs = node.inputs.iter().enumerate();
        known.extend(inputs.map(|(i, &x)| (format!("X{i}"), self.place(x, true))));
        let known: Vec<(&str, &str)> =
            known.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let mut body = String::new();
        for line in fill(&step.call, &known).lines() {
            body.push_str(&format!("    {line}\n"));
        }
        let (bytes, name) = (self.nodes.values[id].bytes(), &self.nodes.names[id]);
        let place = self.place(id, true);
        body + &format!("    $DUMP({id}, {place}, {bytes}); /* {name} */\n")
    }

    /// Puts the parts whose rows flow into the file; gives the statements that run all.
    fn body(&self, schedule: &Schedule, source: &mut Source) -> Body {
        let fixed = self.nodes.fixed;
        let mut body = Body::default();
        for (at, part) in schedule.parts.iter().enumerate() {
            let Some(flow) = &part.flow else {
                body.rest.push_str(&self.statements(part.nodes.start));
                continue;
            };
            let name = format!("part_{at}");
            let printed = FlowPart {
                fixed,
                names: self.nodes.names,
                values: self.nodes.values,
                steps: self.steps,
                part,
                flow,
                state_bytes: Costs::state_bytes(part.nodes.len()),
                sums_at: &|id| self.layout.sums_at(id, self.nodes.values[id].storage.bits()),
            };
            printed.emit(&name, |id| self.start(id), source);
            let scratch = self.memory.scratch_offsets[part.nodes.start];
            let state = format!("memory + {}", scratch.expect("rows that flow are counted there"));
            let start = format!("    $P_start(&$P_{name}, {state});\n");
            let run = |row: &str| format!("    $P_flow(&$P_{name}, buffers, {state}, {row});\n");
            if fixed.inputs.contains(&part.nodes.start) {
                (body.begin, body.taking) = (start, run("row"));
            } else {
                body.rest.push_str(&start);
                body.rest.push_str(&run("0"));
            }
        }
        if schedule.parts.iter().any(|part| part.flow.is_some()) {
            let mut buffers = vec!["memory".to_owned()];
            let outputs = self.outputs.iter().map(CPort::parameter);
            buffers.extend(outputs.map(|output| format!("(uint8_t *)(void *){output}")));
            if body.taking.is_empty() {
                let inputs = self.inputs.iter().map(CPort::parameter);
                buffers.extend(inputs.map(|input| format!("(uint8_t *)(uintptr_t){input}")));
            }
            body.buffers = format!("    uint8_t *const buffers[] = {{{}}};\n", buffers.join(", "));
        }
        let holders = self.holders();
        for (i, (output, &root)) in self.outputs.iter().zip(&holders).enumerate() {
            let is_computed =
                !fixed.inputs.contains(&root) && fixed.nodes[root].op.place() != Place::Stored;
            if !is_computed || self.result(root) != Some(i) {
                body.rest.push_str(&output.copy(&self.place(root, true)));
            }
        }
        body
    }
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
