//! `plan.toml`, made for people.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::plan_toml;
pub use write::{plan_to_toml, plan_to_toml_for};

/// The version of `plan.toml` that is written; others are refused.
const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::super::terms::{Problem, RAW_PIXELS, testing::graph};
    use super::*;
    use fixedwise_fixed::{Format, Rounding};
    use fixedwise_graph::{Graph, LayerPlan, Plan, Quantizer, Semantics};
    use std::collections::BTreeMap;

    fn parse_toml(text: &str, graph: &Graph) -> Result<Plan, Problem> {
        let file = read(text)?;
        let semantics = file.semantics.into();
        file.plan(text, graph, semantics)
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
            thinned: None,
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
    fn a_plan_from_before_sums_were_inside_layers_is_refused_with_the_way_out() {
        let text = plan_to_toml(&plan());
        let graph = fixedwise_graph::passes::prepare(&graph(), Semantics::Integer).unwrap();
        let error = parse_toml(&text, &graph).unwrap_err();
        let expected = ["`sum`", "layer `a / \"1\"`", "search again"];
        assert!(expected.iter().all(|part| error.problem.contains(part)), "{}", error.problem);
        let line = text.lines().nth(error.line.unwrap() - 1).unwrap();
        assert!(line.starts_with("sum = {"), "{line}");
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line() {
        let text = plan_to_toml(&plan());
        for (from, to, expected) in [
            ("schema = 1", "schema = 2", "schema 2 is not supported"),
            ("\"integer\"", "\"intger\"", "unknown variant `intger`"),
            ("\"floor\"", "\"up\"", "unknown variant `up`"),
            ("bits = 5", "bits = 17", "a width of 17 bits is outside 1 to 16"),
            ("bits = 5", "bits = 0", "a width of 0 bits is outside 1 to 16"),
            ("bits = 5", "bits = 5.5", "invalid type"),
            ("bits = 32", "bits = 33", "a width of 33 bits is outside 1 to 32"),
            ("frac = -3", "frac = 200", "invalid value: integer `200`"),
            ("frac = -3", "frack = -3", "unknown field `frack`"),
            ("frac = -3", "frac = -3, frac = 2", "duplicate key"),
            ("-3, range = \"full\"", "-3, range = \"bipolar\"", "only for one bit, -1 and +1"),
            ("bits = 32", "range = \"bipolar\", bits = 1", "only for weights"),
            ("signed = false }", "signed = false, range = \"full\" }", "only for signed formats"),
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
}
