//! Plans as files: `plan.toml`, made for people, and the paper's JSON.

use super::{integers, of_result, paper};
use crate::{error::Error, files, model::Model, result::RunResult};
use fixedwise_fixed::{Format, Range, Rounding};
use fixedwise_graph::{Graph, LayerPlan, Plan, Quantizer, Semantics};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};
use toml::Spanned;

/// The version of `plan.toml` that is written; others are refused.
const SCHEMA: u32 = 1;
/// Widest weights and activations.
pub(crate) const MAX_BITS: u8 = 16;
/// Widest biases.
pub(crate) const MAX_BIAS_BITS: u8 = 32;
/// The strategy whose plans have integers of their own.
const PARETO: &str = "pareto";
/// What the integer network takes unless a plan says otherwise: raw 8-bit pixels.
pub(crate) const RAW_PIXELS: Format = Format::unsigned(8, 0);

const HEADER: &str = "\
# A plan: the fixed-point format of every quantized tensor. Edit it and try it again with
#   fixedwise evaluate MODEL --plan THIS_FILE --test DATA
#
# A tensor holds integers q of `bits` bits (BW); their values are q * 2^-frac (F). So
# `bits = 8, frac = 6` has steps of 1/64, in HLS ap_fixed<8,2>; `frac` may be negative or exceed `bits`.
# Signed formats are symmetric, from -(2^(bits-1) - 1) to 2^(bits-1) - 1; with `range = \"full\"` from
# -2^(bits-1). `signed = false` goes from 0 to 2^bits - 1, for what is never negative.
";

const INTEGERS_NOTE: &str = "\
# The weights are not rounded to the nearest: their integers are in this file, made for the formats
# below. After a change of the format of weights search again, or remove both lines to round to the
# nearest; powers of two between channels are lost with them.";

const BIAS_NOTE: &str = "\
# A layer without `bias` keeps it in 32 bits at the scale of its accumulator.
";

/// A plan as `plan.toml`; [`read_plan`] is its inverse.
///
/// The formats alone: integers that are not the nearest to the weights have a file of their own.
///
/// ```
/// use fixedwise::{Format, LayerPlan, Plan, Quantizer, Rounding, Semantics, plan_to_toml};
///
/// let plan = Plan {
///     semantics: Semantics::Integer,
///     quantizer: Quantizer::Uniform,
///     rounding: Rounding::TiesUp,
///     input: Format::unsigned(8, 0),
///     layers: vec![LayerPlan {
///         name: "conv2d_1".to_owned(),
///         weights: Some(Format::signed(5, 9)),
///         bias: None,
///         activation: Some(Format::unsigned(6, 3)),
///     }],
///     rounded: Default::default(),
///     others: Default::default(),
/// };
/// let text = plan_to_toml(&plan);
/// assert!(text.contains("[layers.conv2d_1]\nweights = { bits = 5, frac = 9 }\n"));
/// assert!(text.contains("activation = { bits = 6, frac = 3, signed = false }\n"));
/// ```
pub fn plan_to_toml(plan: &Plan) -> String {
    plan_to_toml_for(plan, None)
}

/// As [`plan_to_toml`], with the name of the target that the plan is for.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.toml");
/// # let plan = fixedwise::Plan {
/// #     semantics: fixedwise::Semantics::Integer,
/// #     quantizer: fixedwise::Quantizer::Uniform,
/// #     rounding: fixedwise::Rounding::TiesUp,
/// #     input: fixedwise::Format::unsigned(8, 0),
/// #     layers: vec![fixedwise::LayerPlan {
/// #         name: "conv".to_owned(),
/// #         weights: None,
/// #         bias: None,
/// #         activation: None,
/// #     }],
/// #     rounded: Default::default(),
/// #     others: Default::default(),
/// # };
/// use fixedwise::{plan_target, plan_to_toml_for};
///
/// std::fs::write(&path, plan_to_toml_for(&plan, Some("cortex-m4"))).expect("writable");
/// assert_eq!(plan_target(&path)?.as_deref(), Some("cortex-m4"));
/// # Ok(())
/// # }
/// ```
pub fn plan_to_toml_for(plan: &Plan, target: Option<&str>) -> String {
    plan_toml(plan, target, None)
}

/// As [`plan_to_toml_for`], with the file of the plan's integers and its SHA-256.
pub(crate) fn plan_toml(
    plan: &Plan,
    target: Option<&str>,
    integers: Option<(&str, &str)>,
) -> String {
    let mut text = HEADER.to_owned();
    if plan.semantics == Semantics::Integer {
        text.push_str(BIAS_NOTE);
    }
    let mut line = |arguments: std::fmt::Arguments| {
        text.push_str(&arguments.to_string());
        text.push('\n');
    };
    line(format_args!("\nschema = {SCHEMA}"));
    if let Some(target) = target {
        line(format_args!("target = {}", quoted(target)));
    }
    line(format_args!("semantics = \"{}\"", plan.semantics.name()));
    if plan.quantizer == Quantizer::SquareRoot {
        line(format_args!("# Roots are stored, and squared back with their sign."));
        line(format_args!("quantizer = \"{}\"", plan.quantizer.name()));
    }
    line(format_args!("rounding = \"{}\"", rounding_name(plan.rounding)));
    if let Some((name, sha256)) = integers {
        line(format_args!("{INTEGERS_NOTE}"));
        line(format_args!("integers = {}", quoted(name)));
        line(format_args!("integers_sha256 = \"{sha256}\""));
    }
    line(format_args!("\n[input]\nbits = {}\nfrac = {}", plan.input.bits, plan.input.frac));
    line(format_args!("signed = {}", plan.input.is_signed()));
    if plan.input.range == Range::Full {
        line(format_args!("range = \"full\""));
    }
    for layer in &plan.layers {
        line(format_args!("\n[layers.{}]", key(&layer.name)));
        let tensors =
            [("weights", layer.weights), ("bias", layer.bias), ("activation", layer.activation)];
        for (kind, format) in tensors {
            if let Some(format) = format {
                line(format_args!("{kind} = {}", inline(format)));
            }
        }
    }
    if !plan.others.is_empty() {
        line(format_args!("\n# Values of other nodes: residual adds and the like."));
        line(format_args!("[others]"));
        for (name, format) in &plan.others {
            line(format_args!("{} = {}", key(name), inline(*format)));
        }
    }
    text
}

pub(crate) const fn rounding_name(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::TiesUp => "ties-up",
        Rounding::TiesEven => "ties-even",
        Rounding::Floor => "floor",
    }
}

fn inline(format: Format) -> String {
    let range = match format.range {
        Range::Narrow => "",
        Range::Unsigned => ", signed = false",
        Range::Full => ", range = \"full\"",
    };
    format!("{{ bits = {}, frac = {}{range} }}", format.bits, format.frac)
}

/// A TOML key: bare where that is allowed, else quoted.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    quoted(name)
}

fn quoted(name: &str) -> String {
    let mut quoted = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.extend(format!("\\u{:04X}", u32::from(c)).chars()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Reads a plan for a model: `plan.toml`, or, where the name ends in `.json`, `result.json` or JSON
/// in the paper's terms.
///
/// Layers come in the order of the graph. `semantics` overrides what the file says; the paper's
/// JSON says nothing and means [`Semantics::Simulated`].
///
/// # Errors
/// [`Error`] naming the file, with the line where there is one, for a file that cannot be read, a
/// duplicate or unknown key, a format out of range, and a tensor the network does not have.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.json");
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{Format, Model, Semantics, read_plan};
///
/// let text = r#"{"weights": {"conv2d_2": [5, 7]}, "biases": {}, "activations": {}}"#;
/// std::fs::write(&path, text).expect("writable");
/// let model = Model::load(format!("{root}/models/fashion_small.onnx").as_ref())?;
/// let plan = read_plan(&path, &model, None)?;
/// assert_eq!(plan.semantics, Semantics::Simulated);
/// assert_eq!(plan.layers[0].weights, Some(Format::signed(5, 7)));
/// # Ok(())
/// # }
/// ```
pub fn read_plan(path: &Path, model: &Model, semantics: Option<Semantics>) -> Result<Plan, Error> {
    read(path, model, semantics, false)
}

/// The same, where the plan's integers must have been rounded from the weights of this model with its
/// preprocessing.
pub(crate) fn read_own_plan(
    path: &Path,
    model: &Model,
    semantics: Option<Semantics>,
) -> Result<Plan, Error> {
    read(path, model, semantics, true)
}

fn read(
    path: &Path,
    model: &Model,
    semantics: Option<Semantics>,
    is_own: bool,
) -> Result<Plan, Error> {
    let text = files::read_text(path)?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    if is_json && of_result::is_result(&text) {
        let file = RunResult::read(path)?;
        if file.strategy == PARETO {
            let problem = "a result does not hold the integers of strategy `pareto`; give the \
                           plan.toml beside it";
            return Err(refuse(Problem { line: None, problem: problem.to_owned() }));
        }
        of_result::plan(&file, model, semantics)
            .map_err(|problem| refuse(Problem { line: None, problem }))
    } else if is_json {
        let file = paper::read(&text).map_err(refuse)?;
        let semantics = semantics.unwrap_or(Semantics::Simulated);
        file.plan(&model.prepared(semantics)?, semantics).map_err(refuse)
    } else {
        let file = read_toml(&text).map_err(refuse)?;
        let semantics = semantics.unwrap_or(file.semantics.into());
        let graph = model.prepared(semantics)?;
        let mut plan = file.plan(&text, &graph, semantics).map_err(refuse)?;
        if let Some((name, sha256)) = file.integers(&text, semantics).map_err(refuse)? {
            let path = path.with_file_name(name);
            plan.rounded = integers::read(&path, Some(sha256), &plan, &graph, is_own)?;
        }
        Ok(plan)
    }
}

/// The name of the target that a plan is for, where the file says one: `plan.toml` or `result.json`.
///
/// # Errors
/// [`Error`] naming the file, for one that cannot be read.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.toml");
/// let text = "schema = 1\ntarget = \"fpga\"\nsemantics = \"integer\"\n[layers]\n";
/// std::fs::write(&path, text).expect("writable");
/// assert_eq!(fixedwise::plan_target(&path)?.as_deref(), Some("fpga"));
/// # Ok(())
/// # }
/// ```
pub fn plan_target(path: &Path) -> Result<Option<String>, Error> {
    let text = files::read_text(path)?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_json {
        let is_result = of_result::is_result(&text);
        return if is_result { Ok(RunResult::read(path)?.target) } else { Ok(None) };
    }
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    Ok(read_toml(&text).map_err(refuse)?.target)
}

/// A layer and the bits of its weights, bias and activation.
pub(crate) type NamedBits = (String, [Option<u8>; 3]);

/// The bits of each layer, then of other nodes' activations, in the order of
/// the file; the network is not needed.
pub(crate) fn read_bits(path: &Path) -> Result<Vec<NamedBits>, Error> {
    let text = files::read_text(path)?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    if is_json {
        let file = paper::read(&text).map_err(refuse)?;
        return Ok(file.bits());
    }
    let file = read_toml(&text).map_err(refuse)?;
    let bits =
        |format: &Option<Spanned<FormatToml>>| format.as_ref().map(|format| format.get_ref().bits);
    let layers = file.layers.iter().map(|(name, layer)| {
        (name, [bits(&layer.weights), bits(&layer.bias), bits(&layer.activation)])
    });
    let others =
        file.others.iter().map(|(name, format)| (name, [None, None, Some(format.get_ref().bits)]));
    let mut all: Vec<_> = layers.chain(others).collect();
    all.sort_by_key(|(name, _)| name.span().start);
    Ok(all.into_iter().map(|(name, bits)| (name.get_ref().clone(), bits)).collect())
}

/// What is wrong with a plan, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) line: Option<usize>,
    pub(crate) problem: String,
}

impl Problem {
    pub(crate) fn at(text: &str, offset: usize, problem: String) -> Self {
        let line = text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1;
        Self { line: Some(line), problem }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanToml {
    schema: Spanned<u32>,
    target: Option<String>,
    semantics: SemanticsName,
    #[serde(default)]
    quantizer: QuantizerName,
    #[serde(default)]
    rounding: RoundingName,
    integers: Option<Spanned<String>>,
    integers_sha256: Option<Spanned<String>>,
    input: Option<Spanned<FormatToml>>,
    layers: BTreeMap<Spanned<String>, LayerToml>,
    #[serde(default)]
    others: BTreeMap<Spanned<String>, Spanned<FormatToml>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SemanticsName {
    Integer,
    Simulated,
}

impl From<SemanticsName> for Semantics {
    fn from(name: SemanticsName) -> Self {
        match name {
            SemanticsName::Integer => Self::Integer,
            SemanticsName::Simulated => Self::Simulated,
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum QuantizerName {
    #[default]
    Uniform,
    SquareRoot,
}

impl From<QuantizerName> for Quantizer {
    fn from(name: QuantizerName) -> Self {
        match name {
            QuantizerName::Uniform => Self::Uniform,
            QuantizerName::SquareRoot => Self::SquareRoot,
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RoundingName {
    #[default]
    TiesUp,
    TiesEven,
    Floor,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RangeName {
    Narrow,
    Full,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerToml {
    weights: Option<Spanned<FormatToml>>,
    bias: Option<Spanned<FormatToml>>,
    activation: Option<Spanned<FormatToml>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct FormatToml {
    bits: u8,
    frac: i8,
    #[serde(default = "yes")]
    signed: bool,
    range: Option<RangeName>,
}

fn yes() -> bool {
    true
}

fn read_toml(text: &str) -> Result<PlanToml, Problem> {
    let file: PlanToml = toml::from_str(text).map_err(|error| {
        let problem = error.message().replace('\n', " ");
        match error.span() {
            Some(span) => Problem::at(text, span.start, problem),
            None => Problem { line: None, problem },
        }
    })?;
    if *file.schema.get_ref() == SCHEMA {
        Ok(file)
    } else {
        let problem = format!("schema {} is not known, only {SCHEMA}", file.schema.get_ref());
        Err(Problem::at(text, file.schema.span().start, problem))
    }
}

impl PlanToml {
    /// The file of integers, and its SHA-256.
    fn integers(&self, text: &str, semantics: Semantics) -> Result<Option<(&str, &str)>, Problem> {
        let (name, sha256) = match (&self.integers, &self.integers_sha256) {
            (Some(name), Some(sha256)) => (name, sha256),
            (None, None) => return Ok(None),
            (Some(one), None) | (None, Some(one)) => {
                let problem = "`integers` and `integers_sha256` go together; give or remove both";
                return Err(Problem::at(text, one.span().start, problem.to_owned()));
            }
        };
        if semantics == Semantics::Integer {
            return Ok(Some((name.get_ref(), sha256.get_ref())));
        }
        let problem = "the integers it names are of integer semantics; remove both `integers` lines \
                       to use the formats alone";
        Err(Problem::at(text, name.span().start, problem.to_owned()))
    }

    /// The plan for `graph`; `text` tells the lines.
    fn plan(&self, text: &str, graph: &Graph, semantics: Semantics) -> Result<Plan, Problem> {
        let mut layers = BTreeMap::new();
        for (name, layer) in &self.layers {
            let at = name.span().start;
            let name = name.get_ref();
            if !is_node(graph, name, true) {
                let known = names(graph, true);
                let problem = format!("the network has no layer `{name}`; it has {known}");
                return Err(Problem::at(text, at, problem));
            }
            let format = |spanned: &Option<Spanned<FormatToml>>, max_bits: u8| {
                spanned.as_ref().map(|spanned| checked(text, spanned, max_bits)).transpose()
            };
            let plan = LayerPlan {
                name: name.clone(),
                weights: format(&layer.weights, MAX_BITS)?,
                bias: format(&layer.bias, MAX_BIAS_BITS)?,
                activation: format(&layer.activation, MAX_BITS)?,
            };
            layers.insert(name.as_str(), plan);
        }
        let mut others = BTreeMap::new();
        for (name, spanned) in &self.others {
            let at = name.span().start;
            let name = name.get_ref();
            if !is_node(graph, name, false) {
                let known = names(graph, false);
                let problem =
                    format!("the network has no node `{name}` beside its layers; it has {known}");
                return Err(Problem::at(text, at, problem));
            }
            others.insert(name.clone(), checked(text, spanned, MAX_BITS)?);
        }
        let input = self.input.as_ref().map(|input| checked(text, input, MAX_BITS)).transpose()?;
        Ok(Plan {
            semantics,
            quantizer: self.quantizer.into(),
            rounding: match self.rounding {
                RoundingName::TiesUp => Rounding::TiesUp,
                RoundingName::TiesEven => Rounding::TiesEven,
                RoundingName::Floor => Rounding::Floor,
            },
            input: input.unwrap_or(RAW_PIXELS),
            layers: graph
                .layers()
                .filter_map(|(_, node)| layers.remove(node.name.as_str()))
                .collect(),
            rounded: BTreeMap::new(),
            others,
        })
    }
}

fn checked(text: &str, spanned: &Spanned<FormatToml>, max_bits: u8) -> Result<Format, Problem> {
    let at = |problem: String| Problem::at(text, spanned.span().start, problem);
    let FormatToml { bits, frac, signed, range } = *spanned.get_ref();
    let range = match (signed, range) {
        (true, None | Some(RangeName::Narrow)) => Range::Narrow,
        (true, Some(RangeName::Full)) => Range::Full,
        (false, None) => Range::Unsigned,
        (false, Some(_)) => return Err(at("`range` is of signed formats only".to_owned())),
    };
    let format = Format { bits, frac, range };
    format.checked(max_bits).map_err(|error| at(error.to_string()))
}

pub(crate) fn is_node(graph: &Graph, name: &str, is_layer: bool) -> bool {
    graph.find(name).is_some_and(|id| graph.nodes[id].op.is_layer() == is_layer)
}

/// The names of a network's layers, or of its other nodes.
pub(crate) fn names(graph: &Graph, is_layer: bool) -> String {
    let nodes = graph.nodes.iter().filter(|node| node.op.is_layer() == is_layer);
    nodes.map(|node| format!("`{}`", node.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_graph::{
        Activation, Node, Shape,
        ops::{Add, Gemm, Input},
    };

    /// Two layers in an order that is not alphabetical, and an add.
    fn graph() -> Graph {
        let shape = Shape::vector(2);
        let node = |name: &str, op: fixedwise_graph::Op, inputs: Vec<usize>| Node {
            name: name.to_owned(),
            op,
            inputs,
            activation: Activation::None,
            shape,
        };
        let gemm = || Gemm { weights: vec![1.0; 4], bias: vec![0.0; 2] };
        Graph {
            name: "test".to_owned(),
            nodes: vec![
                node("input", Input { shape }.into(), vec![]),
                node("b", gemm().into(), vec![0]),
                node("a / \"1\"", gemm().into(), vec![1]),
                node("sum", Add.into(), vec![1, 2]),
            ],
            output: 3,
        }
    }

    fn parse_toml(text: &str, graph: &Graph) -> Result<Plan, Problem> {
        let file = read_toml(text)?;
        let semantics = file.semantics.into();
        file.plan(text, graph, semantics)
    }

    fn parse_paper(text: &str, graph: &Graph) -> Result<Plan, Problem> {
        paper::read(text)?.plan(graph, Semantics::Simulated)
    }

    fn plan() -> Plan {
        Plan {
            semantics: Semantics::Integer,
            quantizer: Quantizer::Uniform,
            rounding: Rounding::Floor,
            input: Format::full(8, -1),
            layers: vec![
                LayerPlan {
                    name: "b".to_owned(),
                    weights: Some(Format::full(5, -3)),
                    bias: Some(Format::signed(32, 20)),
                    activation: Some(Format::unsigned(6, 3)),
                },
                LayerPlan {
                    name: "a / \"1\"".to_owned(),
                    weights: Some(Format::signed(1, 127)),
                    bias: None,
                    activation: None,
                },
            ],
            rounded: BTreeMap::new(),
            others: BTreeMap::from([("sum".to_owned(), Format::signed(7, 2))]),
        }
    }

    #[test]
    fn plans_are_read_as_they_were_written() {
        for semantics in [Semantics::Integer, Semantics::Simulated] {
            let plan = Plan { semantics, ..plan() };
            assert_eq!(parse_toml(&plan_to_toml(&plan), &graph()), Ok(plan));
        }
    }

    #[test]
    fn the_quantizer_is_uniform_unless_the_file_says_otherwise() {
        let uniform = Plan { semantics: Semantics::Simulated, ..plan() };
        let text = plan_to_toml(&uniform);
        assert!(!text.contains("quantizer"), "{text}");
        let root = Plan { quantizer: Quantizer::SquareRoot, ..uniform };
        let text = plan_to_toml(&root);
        assert!(text.contains("\nquantizer = \"square-root\"\n"), "{text}");
        assert_eq!(parse_toml(&text, &graph()), Ok(root));
        let cubic = text.replace("\"square-root\"", "\"cubic\"");
        let error = parse_toml(&cubic, &graph()).unwrap_err();
        assert!(error.problem.contains("unknown variant `cubic`"), "{}", error.problem);
    }

    #[test]
    fn layers_come_in_the_order_of_the_graph() {
        let text = "schema = 1\nsemantics = \"integer\"\n\
                    [layers]\n\"a / \\\"1\\\"\" = {}\nb = {}\n";
        let plan = parse_toml(text, &graph()).unwrap();
        let names: Vec<&str> = plan.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["b", "a / \"1\""]);
        assert_eq!(plan.input, RAW_PIXELS);
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line() {
        let text = plan_to_toml(&plan());
        for (from, to, expected) in [
            ("schema = 1", "schema = 2", "schema 2 is not known"),
            ("\"integer\"", "\"intger\"", "unknown variant `intger`"),
            ("\"floor\"", "\"up\"", "unknown variant `up`"),
            ("bits = 5", "bits = 17", "a width of 17 bits is outside 1 to 16"),
            ("bits = 5", "bits = 0", "a width of 0 bits is outside 1 to 16"),
            ("bits = 5", "bits = 5.5", "invalid type"),
            ("bits = 32", "bits = 33", "a width of 33 bits is outside 1 to 32"),
            ("frac = -3", "frac = 200", "invalid value: integer `200`"),
            ("frac = -3", "frack = -3", "unknown field `frack`"),
            ("frac = -3", "frac = -3, frac = 2", "duplicate key"),
            ("signed = false }", "signed = false, range = \"full\" }", "signed formats only"),
            ("[layers.b]", "[layers.c]", "no layer `c`; it has `b`, `a / \"1\"`"),
            ("[layers.b]", "[layers.sum]", "no layer `sum`"),
            ("sum = {", "b = {", "no node `b` beside its layers; it has `input`, `sum`"),
            ("weights = { bits = 5", "weight = { bits = 5", "unknown field `weight`"),
            ("[others]", "[layers.b]", "duplicate key"),
        ] {
            assert!(text.contains(from), "{from}");
            let changed = text.replacen(from, to, 1);
            let error = parse_toml(&changed, &graph()).expect_err(to);
            assert!(error.problem.contains(expected), "{to}: {}", error.problem);
            assert!(!error.problem.contains('\n'), "{to}: {}", error.problem);
            let line = error.line.expect(to);
            let place: String = changed.lines().skip(line - 1).take(1).collect();
            let near = place.contains(to) || place.contains("[layers.b]");
            assert!(near, "{to}: line {line} is `{place}`");
        }
    }

    #[test]
    fn the_papers_plans_are_signed_and_simulated() {
        let text = r#"{"weights": {"b": [5, 9]}, "biases": {"b": [3, 7]},
                       "activations": {"b": [6, -3], "a / \"1\"": [4, 0]}}"#;
        let plan = parse_paper(text, &graph()).unwrap();
        assert_eq!(plan.semantics, Semantics::Simulated);
        let b = plan.layer("b").unwrap();
        assert_eq!(b.weights, Some(Format::signed(5, 9)));
        assert_eq!(b.bias, Some(Format::signed(3, 7)));
        assert_eq!(b.activation, Some(Format::signed(6, -3)));
        let a = plan.layer("a / \"1\"").unwrap();
        assert_eq!((a.weights, a.activation), (None, Some(Format::signed(4, 0))));
    }

    #[test]
    fn what_is_wrong_with_a_plan_of_the_paper_is_refused() {
        for (text, expected) in [
            (r#"{"weights": {}, "biases": {}}"#, "missing field `activations`"),
            (r#"{"weights": {}, "biases": {}, "activations": {}, "x": 1}"#, "unknown field `x`"),
            (
                r#"{"weights": {"b": [1, 2], "b": [3, 4]}, "biases": {}, "activations": {}}"#,
                "layer `b` stands twice",
            ),
            (
                r#"{"weights": {"c": [1, 2]}, "biases": {}, "activations": {}}"#,
                "weights of `c`: the network has no such layer; it has `b`, `a / \"1\"`",
            ),
            (
                r#"{"weights": {}, "biases": {"b": [0, 2]}, "activations": {}}"#,
                "biases of `b`: a width of 0 bits is outside 1 to 32",
            ),
            (r#"{"weights": {"b": [1, 2, 3]}, "biases": {}, "activations": {}}"#, "array"),
            (r#"{"weights": {"#, "EOF"),
        ] {
            let error = parse_paper(text, &graph()).expect_err(text);
            let expected = if expected == "array" { "" } else { expected };
            assert!(error.problem.contains(expected), "{text}: {}", error.problem);
        }
    }
}
