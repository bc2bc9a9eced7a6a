//! `docs/operators.md`: what every case of the suite came to, by operator. `cargo xtask operators` writes it.

use super::super::whole_way::way;
use fixedwise_codec::{keras, onnx, tflite};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, Interface, Semantics, check_integer_forms,
    emit::{
        self,
        c::{COptions, Core},
    },
    from_keras, from_onnx, from_tflite, lower, passes,
};
use fixedwise_testing::project;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Read,
};

const FILE: &str = "docs/operators.md";

/// Set where the file is to be written, not compared.
const WRITE: &str = "FIXEDWISE_WRITE_OPERATORS";

/// What a network is turned into, in the order of the columns.
const FORMS: [&str; 10] =
    ["float", "integers", "C", "C, DSP", "C, MVE", "onnx", "qonnx", "hls", "npz", "tflite"];

const HEAD: &str = "\
# Operators and what they become

Every network of the suite is read, computed in float, lowered to integers of 8 bits, run, and printed in every form. The
tables count the networks in which an operator occurs and say in which forms they are there: *yes*, all of them; *k of n*,
some; *no*, none. Columns: `float`, the float network; `integers`, the integer network; `C` for any core, for cores with the
DSP extension (Cortex-M4, M7, M33) and with the vector extension (Cortex-M55); the exports `onnx`, `qonnx`, `hls`, `npz`
and `tflite`. The reasons of refusals follow each table. An operator without a network of its own stands there with a dash.

`cargo xtask operators` writes this file; a test compares it.
";

/// What one network came to: an error for each form that it is refused in.
type Outcome = Vec<Result<(), String>>;

/// The networks of an operator.
#[derive(Default)]
struct Row {
    outcomes: Vec<Outcome>,
    opsets: BTreeSet<i64>,
}

/// What a network comes to.
fn outcome(graph: &Graph) -> Outcome {
    let graph = passes::prepare(graph, Semantics::Integer).expect("every pass leaves a graph");
    let fixed = integers(&graph);
    let mut outcome = vec![Ok(()), fixed.as_ref().map(|_| ()).map_err(Clone::clone)];
    let Ok(fixed) = fixed else {
        outcome.extend((2..FORMS.len()).map(|_| Err("it has no integers".to_owned())));
        return outcome;
    };
    let in_c = |core| {
        let options = COptions { core, ..COptions::new("net") };
        emit::c::emit(&fixed, &options, &[]).map(drop)
    };
    let forms = [
        in_c(Core::Portable),
        in_c(Core::Dsp),
        in_c(Core::Mve),
        emit::onnx::emit(&fixed).map(drop),
        emit::qonnx::emit(&fixed).map(drop),
        emit::hls::emit(&fixed, "net").map(drop),
        emit::npz::emit(&fixed).map(drop),
        emit::tflite::emit(&fixed, emit::tflite::TfliteOptions::default()).map(drop),
    ];
    outcome.extend(forms.map(|form| form.map_err(|error| reason(&error.to_string()))));
    outcome
}

/// The integers of a network at 8 bits, once they have run.
fn integers(graph: &Graph) -> Result<FixedGraph, String> {
    check_integer_forms(graph).map_err(|error| reason(&error.to_string()))?;
    let image: Vec<f32> = vec![0.5; graph.image_len()];
    let plan = way::plan(graph, &image, 0).ok_or("its values on the test image are not finite")?;
    let fixed = lower(graph, &plan, AccumulatorPolicy::Widen)
        .map_err(|error| reason(&error.to_string()))?;
    way::integers(&fixed, &image, fixedwise_kernels::Kernels::best());
    Ok(fixed)
}

/// An error without the name of the node, which says nothing here.
fn reason(error: &str) -> String {
    let text = error
        .split_once("node `")
        .map_or(error, |(_, rest)| rest.split_once('`').map_or(rest, |(_, text)| text));
    let first = text.trim_start_matches([' ', ':', ',']).lines().next().unwrap_or_default();
    first.trim_end_matches(';').to_owned()
}

/// Adds what a network came to, to the rows of its operators.
fn add<'a>(
    rows: &mut BTreeMap<String, Row>,
    operators: impl IntoIterator<Item = &'a str>,
    opset: Option<i64>,
    outcome: &Outcome,
) {
    for operator in operators.into_iter().collect::<BTreeSet<_>>() {
        let Some(row) = rows.get_mut(operator) else { continue };
        row.outcomes.push(outcome.clone());
        row.opsets.extend(opset);
    }
}

/// The names in a registry of the crate, each with no network yet.
fn registry(file: &str, begin: &str, end: &str) -> BTreeMap<String, Row> {
    let text = fs::read_to_string(project(file)).unwrap();
    let (_, list) = text.split_once(begin).expect("the registry is there");
    let (list, _) = list.split_once(end).expect("it ends");
    let names = list.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next());
    names.map(|name| (name.to_owned(), Row::default())).collect()
}

fn onnx_registry() -> BTreeMap<String, Row> {
    registry("crates/graph/src/ops/mod.rs", "const ONNX:", "\n];")
}

fn keras_registry() -> BTreeMap<String, Row> {
    registry("crates/graph/src/ops/mod.rs", "const KERAS:", "\n];")
}

/// The builtin operators of TensorFlow Lite that the translation names.
fn tflite_registry() -> BTreeMap<String, Row> {
    let read = |file: &str| fs::read_to_string(project(file)).unwrap();
    let schema = read("crates/codec/src/tflite/operators.rs");
    let (schema, _) = schema.split_once("\n];").expect("the list of names ends");
    let known: BTreeSet<&str> = schema.split('"').skip(1).step_by(2).collect();
    let folder = "crates/graph/src/import/tflite";
    let files = ["arrays.rs", "dilation.rs", "elements.rs", "layers.rs", "mod.rs"];
    let texts = files.map(|file| read(&format!("{folder}/{file}")));
    let named = texts.iter().flat_map(|text| text.split('"').skip(1).step_by(2));
    named
        .filter(|name| known.contains(name))
        .map(|name| (name.to_owned(), Row::default()))
        .collect()
}

/// The operators of ONNX, over the networks of one operator.
fn of_onnx() -> BTreeMap<String, Row> {
    let mut rows = onnx_registry();
    let archive = fs::File::open(project("suite/onnx-node.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let mut names: Vec<String> = archive
        .file_names()
        .map(|name| name.unwrap().to_string())
        .filter(|name| name.ends_with("/model.onnx"))
        .collect();
    names.sort();
    for name in names {
        let mut bytes = Vec::new();
        archive.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
        // Whole networks tell no operator from another.
        if bytes.len() > 1 << 15 {
            continue;
        }
        let model = onnx::parse_model(&bytes, &|_| Err("none".to_owned())).unwrap();
        let graph = from_onnx(&model, "case").unwrap_or_else(|error| panic!("{name}: {error}"));
        let inside = model.functions.iter().flat_map(|function| &function.nodes);
        let nodes = model.graph.nodes.iter().chain(inside).map(|node| node.op_type.as_str());
        add(&mut rows, nodes, Some(model.opset), &outcome(&graph));
    }
    rows
}

/// The layers of Keras, over the networks that it saved.
fn of_keras() -> BTreeMap<String, Row> {
    let mut rows = keras_registry();
    for name in ["branches", "functions", "maps", "models", "plain", "quotients", "signal"] {
        let bytes = fs::read(project(&format!("suite/keras/{name}.keras"))).unwrap();
        let model = keras::read_archive(&bytes, 1 << 24).unwrap();
        let graph = from_keras(&model, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let layers = model.layers.iter().map(|layer| layer.class.as_str());
        add(&mut rows, layers, None, &outcome(&graph));
    }
    rows
}

/// The builtin operators of TensorFlow Lite, over the networks that its converter wrote.
fn of_tflite() -> BTreeMap<String, Row> {
    let mut rows = tflite_registry();
    let mut files: Vec<_> =
        fs::read_dir(project("suite/tflite")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "tflite")) {
        let model = tflite::parse_model(&fs::read(path).unwrap()).unwrap();
        let graph = from_tflite(&model, "case", &Interface::default()).unwrap();
        let operators = model.operators.iter().map(|operator| operator.name.as_str());
        add(&mut rows, operators, None, &outcome(&graph));
    }
    rows
}

/// A table of operators, and the reasons of refusals.
fn table(title: &str, note: &str, rows: &BTreeMap<String, Row>, has_opsets: bool) -> String {
    let mut text = format!("\n## {title}\n\n{note}\n\n| operator | networks |");
    if has_opsets {
        text.push_str(" opsets |");
    }
    FORMS.iter().for_each(|form| write!(text, " {form} |").unwrap());
    let columns = 2 + usize::from(has_opsets) + FORMS.len();
    writeln!(text, "\n|{}", "---|".repeat(columns)).unwrap();
    let mut refusals = BTreeMap::<String, BTreeSet<String>>::new();
    for (operator, row) in rows {
        let n = row.outcomes.len();
        write!(text, "| `{operator}` | {} |", if n == 0 { "-".to_owned() } else { n.to_string() })
            .unwrap();
        if has_opsets {
            let ends = row.opsets.first().zip(row.opsets.last());
            let opsets = ends.map_or("-".to_owned(), |(first, last)| {
                if first == last { first.to_string() } else { format!("{first} to {last}") }
            });
            write!(text, " {opsets} |").unwrap();
        }
        for (form, name) in FORMS.iter().enumerate() {
            let good = row.outcomes.iter().filter(|outcome| outcome[form].is_ok()).count();
            let cell = match good {
                _ if n == 0 => "-".to_owned(),
                _ if good == n => "yes".to_owned(),
                0 => "no".to_owned(),
                _ => format!("{good} of {n}"),
            };
            write!(text, " {cell} |").unwrap();
            // What has no integers has no form behind them either.
            let errors = row.outcomes.iter().filter(|outcome| form < 2 || outcome[1].is_ok());
            for error in errors.filter_map(|outcome| outcome[form].as_ref().err()) {
                let entry = refusals.entry(format!("{name}: {error}")).or_default();
                entry.insert(format!("`{operator}`"));
            }
        }
        text.push('\n');
    }
    if !refusals.is_empty() {
        text.push_str("\nRefusals:\n\n");
    }
    for (reason, operators) in refusals {
        let operators: Vec<String> = operators.into_iter().collect();
        writeln!(text, "- {reason} (networks with {})", operators.join(", ")).unwrap();
    }
    text
}

fn document() -> String {
    let networks = "The networks are those of `suite/onnx-node.zip`, which compare with ONNX Runtime; most \
                    have one operator, some a few beside it. Opsets are those of the networks; opset 7 and \
                    later are read.";
    let layers = "The networks are those of `suite/keras`, each of many layers.";
    let builtin = "The networks are those of `suite/tflite`, each of many operators, in float32, float16, with \
                   int8 weights, and in int8 throughout.";
    [
        HEAD.to_owned(),
        table("ONNX", networks, &of_onnx(), true),
        table("Keras", layers, &of_keras(), false),
        table("TensorFlow Lite", builtin, &of_tflite(), false),
    ]
    .concat()
}

#[test]
fn the_table_of_operators_is_what_every_case_comes_to() {
    let (path, made) = (project(FILE), document());
    if std::env::var_os(WRITE).is_some() {
        fs::write(path, made).unwrap();
        return;
    }
    let found = fs::read_to_string(path).unwrap();
    for (i, (found, made)) in found.lines().zip(made.lines()).enumerate() {
        assert_eq!(found, made, "line {} of {FILE}: run `cargo xtask operators`", i + 1);
    }
    assert_eq!(found.lines().count(), made.lines().count(), "run `cargo xtask operators`");
}

#[test]
fn the_table_of_operators_has_a_row_for_each_that_is_read() {
    let found = fs::read_to_string(project(FILE)).unwrap();
    let (onnx, rest) = found.split_once("\n## Keras").unwrap();
    let (keras, tflite) = rest.split_once("\n## TensorFlow Lite").unwrap();
    let parts = [(onnx, onnx_registry()), (keras, keras_registry()), (tflite, tflite_registry())];
    for (text, registry) in parts {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let expected: Vec<&str> = registry.keys().map(String::as_str).collect();
        assert_eq!(rows.collect::<Vec<_>>(), expected, "run `cargo xtask operators`");
    }
}
