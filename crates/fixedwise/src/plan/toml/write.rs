//! A plan as the text of `plan.toml`.

use super::SCHEMA;
use crate::preprocess::Preprocess;
use fixedwise_fixed::{Format, Range};
use fixedwise_graph::{Interface, Plan, Quantizer, Semantics};

const HEADER: &str = "# A plan: the fixed-point format of every quantized tensor. After a change of bit widths, round the weights
# anew for them and measure the plan with
#   fixedwise refit THIS_FILE
# It keeps the widths, chooses binary points where they changed, and writes a new plan.
#
# A tensor contains integers q with `bits` bits (BW); their values are q * 2^-frac (F). For example,
# `bits = 8, frac = 6` has steps of 1/64, in HLS ap_fixed<8,2>; `frac` may be negative or exceed `bits`.
# Signed formats are symmetric, from -(2^(bits-1) - 1) to 2^(bits-1) - 1; with `range = \"full\"` from
# -2^(bits-1). `signed = false` means 0 to 2^bits - 1, for values that are never negative. Weights of one bit
# with `range = \"bipolar\"` are -1 and +1.
";

const PREPROCESS_NOTE: &str =
    "# What the network is fed of a pixel; every command that reads this plan uses it.";

const SHAPES_NOTE: &str = "# The extents of the input, which the model's file leaves open.";

const OUTPUTS_NOTE: &str = "# The values of the model that are its outputs.";

const INTEGERS_NOTE: &str = "# The weights are not rounded to nearest: this file contains their integers, made for the formats
# below. After a change of a format they no longer belong to the plan; `fixedwise refit` makes new ones.
# Without both lines all weights are rounded to nearest, which usually loses far more.";

const BIAS_NOTE: &str =
    "# If a layer has no `bias` here, its bias has 32 bits at the scale of the accumulator.
";

/// A plan as `plan.toml`; [`read_plan`](crate::read_plan) is its inverse.
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
///     thinned: None,
///     others: Default::default(),
/// };
/// let text = plan_to_toml(&plan);
/// assert!(text.contains("[layers.conv2d_1]\nweights = { bits = 5, frac = 9 }\n"));
/// assert!(text.contains("activation = { bits = 6, frac = 3, signed = false }\n"));
/// ```
pub fn plan_to_toml(plan: &Plan) -> String {
    plan_to_toml_for(plan, None, None, &Interface::default())
}

/// As [`plan_to_toml`], with the name of the target that the plan is for, what the network is fed, and what is
/// said of its inputs and outputs beside its file.
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
/// #     thinned: None,
/// #     others: Default::default(),
/// # };
/// use fixedwise::{Interface, Preprocess, plan_preprocess, plan_target, plan_to_toml_for};
///
/// let preprocess: Preprocess = "scale=1/255,mean=0.286".parse()?;
/// let interface = Interface { outputs: vec!["scores".to_owned()], ..Interface::default() };
/// let text = plan_to_toml_for(&plan, Some("cortex-m4"), Some(&preprocess), &interface);
/// std::fs::write(&path, text).expect("writable");
/// assert_eq!(plan_target(&path)?.as_deref(), Some("cortex-m4"));
/// assert_eq!(plan_preprocess(&path)?, Some(preprocess));
/// assert_eq!(fixedwise::plan_interface(&path)?, interface);
/// # Ok(())
/// # }
/// ```
pub fn plan_to_toml_for(
    plan: &Plan,
    target: Option<&str>,
    preprocess: Option<&Preprocess>,
    interface: &Interface,
) -> String {
    plan_toml(plan, target.map(|name| (name, None)), preprocess, interface, None)
}

/// As [`plan_to_toml_for`], with the file of the plan's integers and its SHA-256.
///
/// With the name of the target stand the kernels that its code was counted with, where it runs C.
pub(crate) fn plan_toml(
    plan: &Plan,
    target: Option<(&str, Option<&str>)>,
    preprocess: Option<&Preprocess>,
    interface: &Interface,
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
    if let Some((target, kernels)) = target {
        line(format_args!("target = {}", quoted(target)));
        if let Some(kernels) = kernels {
            line(format_args!("kernels = {}", quoted(kernels)));
        }
    }
    if let Some(preprocess) = preprocess {
        line(format_args!("{PREPROCESS_NOTE}"));
        line(format_args!("preprocess = \"{preprocess}\""));
    }
    if !interface.input_shapes.is_empty() {
        let shapes: Vec<String> =
            interface.input_shapes.iter().map(|shape| quoted(&shape.to_string())).collect();
        line(format_args!("{SHAPES_NOTE}"));
        line(format_args!("input_shapes = [{}]", shapes.join(", ")));
    }
    if !interface.outputs.is_empty() {
        let outputs: Vec<String> = interface.outputs.iter().map(|output| quoted(output)).collect();
        line(format_args!("{OUTPUTS_NOTE}"));
        line(format_args!("outputs = [{}]", outputs.join(", ")));
    }
    line(format_args!("semantics = \"{}\"", plan.semantics.name()));
    if plan.quantizer == Quantizer::SquareRoot {
        line(format_args!("# Square roots are stored, and squared with their sign."));
        line(format_args!("quantizer = \"{}\"", plan.quantizer.name()));
    }
    line(format_args!("rounding = \"{}\"", plan.rounding.name()));
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
        line(format_args!("\n# Outputs of other nodes, for example residual adds."));
        line(format_args!("[others]"));
        for (name, format) in &plan.others {
            line(format_args!("{} = {}", key(name), inline(*format)));
        }
    }
    text
}

fn inline(format: Format) -> String {
    let range = match format.range {
        Range::Narrow => "",
        Range::Unsigned => ", signed = false",
        Range::Full => ", range = \"full\"",
        Range::Bipolar => ", range = \"bipolar\"",
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
