//! The inputs and results of a network as its C interface has them: one is `NAME_input` or `NAME_output`, several
//! have the names of the model's file behind that.

use super::{CValue, source::fill};
use crate::{
    emit::names::{Alphabet, Names, identifier},
    fixed_graph::FixedGraph,
    graph::NodeId,
    output::Output,
};

/// An input or a result in C.
#[derive(Debug)]
pub(super) struct CPort {
    /// `input` or `output`.
    kind: &'static str,
    /// What stands behind that in its names.
    suffix: String,
    pub(super) value: CValue,
}

impl CPort {
    /// The inputs of a network; `values` are those of its nodes.
    pub(super) fn inputs(fixed: &FixedGraph, values: &[CValue]) -> Vec<Self> {
        let input = |&id: &NodeId| (fixed.nodes[id].name.as_str(), values[id]);
        Self::all("input", fixed.inputs.iter().map(input).collect())
    }

    /// The results of a network.
    pub(super) fn outputs(fixed: &FixedGraph, values: &[CValue]) -> Vec<Self> {
        let output = |output: &Output| (output.name.clone(), values[output.node]);
        let outputs: Vec<(String, CValue)> = fixed.outputs.iter().map(output).collect();
        let named = outputs.iter().map(|(name, value)| (name.as_str(), *value));
        Self::all("output", named.collect())
    }

    fn all(kind: &'static str, ports: Vec<(&str, CValue)>) -> Vec<Self> {
        let mut names = Names::new(Alphabet::Identifier);
        let mut suffix = |name: &str| {
            // Macros are in capitals.
            let name = identifier(name).to_ascii_lowercase();
            format!("_{}", names.unique(&format!("{name:.40}")))
        };
        let is_one = ports.len() == 1;
        let port = |(name, value): (&str, CValue)| Self {
            kind,
            suffix: if is_one { String::new() } else { suffix(name) },
            value,
        };
        ports.into_iter().map(port).collect()
    }

    /// Its parameter of the function that runs the network.
    pub(super) fn parameter(&self) -> String {
        format!("{}{}", self.kind, self.suffix)
    }

    /// The statements of the body that copy its integers from where they lie.
    pub(super) fn copy(&self, from: &str) -> String {
        let parameter = self.parameter();
        let size = format!("$N_{}_SIZE", parameter.to_uppercase());
        format!(
            "    for (int32_t i = 0; i < {size}; i++) {{\n        {parameter}[i] = {from}[i];\n    }}\n"
        )
    }

    /// `template` for the network of that name, with what it has.
    pub(super) fn fill(&self, template: &str, network: &str) -> String {
        let (shape, format) = (self.value.shape, self.value.format);
        let parameter = self.parameter();
        let words = parameter.split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        });
        let of = self.suffix.strip_prefix('_').map(|name| format!(" {name}")).unwrap_or_default();
        let values = [
            ("P", network.to_owned()),
            ("N", network.to_uppercase()),
            ("L", parameter.clone()),
            ("U", parameter.to_uppercase()),
            ("SUFFIX", self.suffix.clone()),
            ("OF", of),
            ("TYPE", self.value.ctype().to_owned()),
            ("SHORT", self.value.short().to_owned()),
            ("RUST", words.collect()),
            ("PORT_H", shape.h.to_string()),
            ("PORT_W", shape.w.to_string()),
            ("PORT_C", shape.c.to_string()),
            ("PORT_FORMAT", format!("{format:#}")),
            ("PORT_BITS", format.bits.to_string()),
            ("PORT_FRAC", format.frac.to_string()),
        ];
        fill(template, &values.each_ref().map(|(name, value)| (*name, value.as_str())))
    }
}

/// The texts of all ports, one after the other.
pub(super) fn each(ports: &[CPort], template: &str, network: &str, between: &str) -> String {
    let all: Vec<String> = ports.iter().map(|port| port.fill(template, network)).collect();
    all.join(between)
}
