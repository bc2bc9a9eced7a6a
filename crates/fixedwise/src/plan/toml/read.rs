//! What the text of `plan.toml` says.

use super::super::terms::{
    MAX_BIAS_BITS, MAX_BITS, NamedBits, Problem, RAW_PIXELS, inside_layer, is_node, names,
};
use super::SCHEMA;
use crate::{error::DataError, preprocess::Preprocess};
use fixedwise_fixed::{Format, Range, Rounding};
use fixedwise_graph::{
    Graph, ImportError, Interface, LayerPlan, Plan, Quantizer, Semantics, target::KernelChoice,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanToml {
    schema: Spanned<u32>,
    pub(crate) target: Option<String>,
    preprocess: Option<Spanned<String>>,
    #[serde(default)]
    input_shapes: Vec<Spanned<String>>,
    #[serde(default)]
    outputs: Vec<String>,
    pub(crate) kernels: Option<KernelsName>,
    pub(crate) semantics: SemanticsName,
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

/// The kernels of printed C.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KernelsName {
    Fast,
    Small,
}

impl From<KernelsName> for KernelChoice {
    fn from(name: KernelsName) -> Self {
        match name {
            KernelsName::Fast => Self::Fast,
            KernelsName::Small => Self::Small,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SemanticsName {
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
    Bipolar,
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

/// Reads the text.
pub(crate) fn read(text: &str) -> Result<PlanToml, Problem> {
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
        let problem = format!("schema {} is not supported, only {SCHEMA}", file.schema.get_ref());
        Err(Problem::at(text, file.schema.span().start, problem))
    }
}

impl PlanToml {
    /// What the network is fed, where the file says it.
    pub(crate) fn preprocess(&self, text: &str) -> Result<Option<Preprocess>, Problem> {
        let Some(line) = &self.preprocess else { return Ok(None) };
        let at = |error: DataError| Problem::at(text, line.span().start, error.to_string());
        line.get_ref().parse().map(Some).map_err(at)
    }

    /// What it says of the inputs and outputs of its model.
    pub(crate) fn interface(&self, text: &str) -> Result<Interface, Problem> {
        let shape = |shape: &Spanned<String>| {
            let at = |error: ImportError| Problem::at(text, shape.span().start, error.to_string());
            shape.get_ref().parse().map_err(at)
        };
        let input_shapes = self.input_shapes.iter().map(shape).collect::<Result<_, _>>()?;
        Ok(Interface { input_shapes, outputs: self.outputs.clone() })
    }

    /// The bits of each layer, then of other nodes' activations, in the order of the file; the network is not needed.
    pub(crate) fn bits(&self) -> Vec<NamedBits> {
        let bits = |format: &Option<Spanned<FormatToml>>| {
            format.as_ref().map(|format| format.get_ref().bits)
        };
        let layers = self.layers.iter().map(|(name, layer)| {
            (name, [bits(&layer.weights), bits(&layer.bias), bits(&layer.activation)])
        });
        let others = self
            .others
            .iter()
            .map(|(name, format)| (name, [None, None, Some(format.get_ref().bits)]));
        let mut all: Vec<_> = layers.chain(others).collect();
        all.sort_by_key(|(name, _)| name.span().start);
        all.into_iter().map(|(name, bits)| (name.get_ref().clone(), bits)).collect()
    }

    /// The file of integers, and its SHA-256.
    pub(crate) fn integers(
        &self,
        text: &str,
        semantics: Semantics,
    ) -> Result<Option<(&str, &str)>, Problem> {
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
    pub(crate) fn plan(
        &self,
        text: &str,
        graph: &Graph,
        semantics: Semantics,
    ) -> Result<Plan, Problem> {
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
            let weights = layer.weights.as_ref().map(|spanned| of_weights(text, spanned));
            let plan = LayerPlan {
                name: name.clone(),
                weights: weights.transpose()?,
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
                let unknown = || {
                    format!("the network has no node `{name}` beside its layers; it has {known}")
                };
                let problem = inside_layer(graph, name).unwrap_or_else(unknown);
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
            thinned: None,
            others,
        })
    }
}

/// The format of anything but weights.
fn checked(text: &str, spanned: &Spanned<FormatToml>, max_bits: u8) -> Result<Format, Problem> {
    if let Some(RangeName::Bipolar) = spanned.get_ref().range {
        let problem = "`range = \"bipolar\"` is only for weights".to_owned();
        return Err(Problem::at(text, spanned.span().start, problem));
    }
    any(text, spanned, max_bits)
}

fn of_weights(text: &str, spanned: &Spanned<FormatToml>) -> Result<Format, Problem> {
    if let FormatToml { bits: 2.., range: Some(RangeName::Bipolar), .. } = spanned.get_ref() {
        let problem =
            "`range = \"bipolar\"` is only for one bit, -1 and +1: remove it, or set `bits = 1`"
                .to_owned();
        return Err(Problem::at(text, spanned.span().start, problem));
    }
    any(text, spanned, MAX_BITS)
}

fn any(text: &str, spanned: &Spanned<FormatToml>, max_bits: u8) -> Result<Format, Problem> {
    let at = |problem: String| Problem::at(text, spanned.span().start, problem);
    let FormatToml { bits, frac, signed, range } = *spanned.get_ref();
    let range = match (signed, range) {
        (true, None | Some(RangeName::Narrow)) => Range::Narrow,
        (true, Some(RangeName::Full)) => Range::Full,
        (true, Some(RangeName::Bipolar)) => Range::Bipolar,
        (false, None) => Range::Unsigned,
        (false, Some(_)) => return Err(at("`range` is only for signed formats".to_owned())),
    };
    let format = Format { bits, frac, range };
    format.checked(max_bits).map_err(|error| at(error.to_string()))
}
