//! The results of a network as its C interface has them: one is `NAME_output`, several have the names of the
//! model's file behind that.

use super::{CValue, source::fill};
use crate::{
    emit::names::{Alphabet, Names, identifier},
    fixed_graph::FixedGraph,
    output::Output,
};

/// A result in C.
#[derive(Debug)]
pub(super) struct COutput {
    /// What stands behind `output` in its names.
    suffix: String,
    pub(super) value: CValue,
}

impl COutput {
    /// The results of a network; `values` are those of its nodes.
    pub(super) fn all(fixed: &FixedGraph, values: &[CValue]) -> Vec<Self> {
        let mut names = Names::new(Alphabet::Identifier);
        let mut suffix = |output: &Output| {
            // Macros are in capitals.
            let name = identifier(&output.name).to_ascii_lowercase();
            format!("_{}", names.unique(&format!("{name:.40}")))
        };
        let is_one = fixed.outputs.len() == 1;
        let output = |output: &Output| Self {
            suffix: if is_one { String::new() } else { suffix(output) },
            value: values[output.node],
        };
        fixed.outputs.iter().map(output).collect()
    }

    /// Its parameter of the function that runs the network.
    pub(super) fn parameter(&self) -> String {
        format!("output{}", self.suffix)
    }

    /// The statements of the body that copy its integers from where they lie.
    pub(super) fn copy(&self, from: &str) -> String {
        let parameter = self.parameter();
        let size = format!("$N_{}_SIZE", parameter.to_uppercase());
        format!(
            "    for (int32_t i = 0; i < {size}; i++) {{\n        {parameter}[i] = {from}[i];\n    }}\n"
        )
    }

    /// `template` for the network of that name, with what a result has.
    pub(super) fn fill(&self, template: &str, network: &str) -> String {
        let (shape, format) = (self.value.shape, self.value.format);
        let parameter = self.parameter();
        let of = self.suffix.strip_prefix('_').map(|name| format!(" {name}")).unwrap_or_default();
        let values = [
            ("P", network.to_owned()),
            ("N", network.to_uppercase()),
            ("L", parameter.clone()),
            ("U", parameter.to_uppercase()),
            ("SUFFIX", self.suffix.clone()),
            ("OF", of),
            ("Y", self.value.ctype().to_owned()),
            ("OUTPUT_H", shape.h.to_string()),
            ("OUTPUT_W", shape.w.to_string()),
            ("OUTPUT_C", shape.c.to_string()),
            ("OUTPUT_FORMAT", format!("{format:#}")),
            ("OUTPUT_BITS", format.bits.to_string()),
            ("OUTPUT_FRAC", format.frac.to_string()),
        ];
        fill(template, &values.each_ref().map(|(name, value)| (*name, value.as_str())))
    }
}

/// The texts of all results, one after the other.
pub(super) fn each(outputs: &[COutput], template: &str, network: &str, between: &str) -> String {
    let all: Vec<String> = outputs.iter().map(|output| output.fill(template, network)).collect();
    all.join(between)
}
