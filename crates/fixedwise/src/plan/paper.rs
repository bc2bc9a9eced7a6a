//! Plans in the terms of the paper's code: JSON, a map of `[BW, F]` by layer for each kind.

use super::terms::{MAX_BIAS_BITS, MAX_BITS, NamedBits, Problem, RAW_PIXELS, names};
use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{Graph, LayerPlan, Plan, Quantizer, Semantics};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// `{"weights": {"conv2d_1": [BW, F], ...}, "biases": {...}, "activations": {...}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaperPlan {
    weights: Formats,
    biases: Formats,
    activations: Formats,
}

/// A map that refuses a key standing twice.
#[derive(Default)]
struct Formats(BTreeMap<String, (u8, i8)>);

impl<'de> Deserialize<'de> for Formats {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Formats;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a map from layers to [bits, frac]")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Formats, A::Error> {
                let mut formats = Formats::default();
                while let Some((name, format)) = map.next_entry::<String, (u8, i8)>()? {
                    if formats.0.insert(name.clone(), format).is_some() {
                        let twice = format!("layer `{name}` is listed twice");
                        return Err(serde::de::Error::custom(twice));
                    }
                }
                Ok(formats)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Reads the JSON.
pub(crate) fn read(text: &str) -> Result<PaperPlan, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The place is said once, by the error around this one.
        let problem = message.split(" at line ").next().unwrap_or_default().to_owned();
        Problem { line: Some(error.line()), problem }
    })
}

impl PaperPlan {
    /// The bits of each layer, by name; the network is not needed.
    pub(crate) fn bits(&self) -> Vec<NamedBits> {
        let kinds = [&self.weights, &self.biases, &self.activations];
        let names: BTreeSet<&String> = kinds.iter().flat_map(|formats| formats.0.keys()).collect();
        let bits = |name: &str| kinds.map(|formats| formats.0.get(name).map(|format| format.0));
        names.into_iter().map(|name| (name.clone(), bits(name))).collect()
    }

    /// The plan for a network.
    pub(crate) fn plan(&self, graph: &Graph, semantics: Semantics) -> Result<Plan, Problem> {
        let layers: Vec<&str> = graph.layers().map(|(_, node)| node.name.as_str()).collect();
        let mut given = BTreeSet::new();
        for (kind, formats, max_bits) in [
            ("weights", &self.weights, MAX_BITS),
            ("biases", &self.biases, MAX_BIAS_BITS),
            ("activations", &self.activations, MAX_BITS),
        ] {
            for (name, &(bits, frac)) in &formats.0 {
                let refuse = |problem| {
                    let problem = format!("{kind} of `{name}`: {problem}");
                    Err(Problem { line: None, problem })
                };
                if !layers.contains(&name.as_str()) {
                    let known = names(graph, true);
                    return refuse(format!("the network has no such layer; it has {known}"));
                }
                if let Err(error) = Format::signed(bits, frac).checked(max_bits) {
                    return refuse(error.to_string());
                }
                given.insert(name.as_str());
            }
        }
        let layer = |name: &str| {
            let of = |formats: &Formats| {
                formats.0.get(name).map(|&(bits, frac)| Format::signed(bits, frac))
            };
            LayerPlan {
                name: name.to_owned(),
                weights: of(&self.weights),
                bias: of(&self.biases),
                activation: of(&self.activations),
            }
        };
        Ok(Plan {
            semantics,
            quantizer: Quantizer::Uniform,
            rounding: Rounding::default(),
            input: RAW_PIXELS,
            layers: layers.into_iter().filter(|name| given.contains(name)).map(layer).collect(),
            rounded: BTreeMap::new(),
            thinned: None,
            others: BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::terms::testing::graph;
    use super::*;

    fn parse(text: &str, graph: &Graph) -> Result<Plan, Problem> {
        read(text)?.plan(graph, Semantics::Simulated)
    }

    #[test]
    fn the_papers_plans_are_signed_and_simulated() {
        let text = r#"{"weights": {"b": [5, 9]}, "biases": {"b": [3, 7]},
                       "activations": {"b": [6, -3], "a / \"1\"": [4, 0]}}"#;
        let plan = parse(text, &graph()).unwrap();
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
                "layer `b` is listed twice",
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
            let error = parse(text, &graph()).expect_err(text);
            let expected = if expected == "array" { "" } else { expected };
            assert!(error.problem.contains(expected), "{text}: {}", error.problem);
        }
    }
}
