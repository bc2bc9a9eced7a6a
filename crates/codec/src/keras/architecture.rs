//! The architecture of a model, from the JSON of Keras 2 and of Keras 3.

use super::{KerasError, Layer, Model};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

type Object = Map<String, Value>;

/// What a model's own options may be: those read, and those that matter to training alone.
const MODEL_KEYS: [&str; 7] =
    ["name", "trainable", "dtype", "layers", "input_layers", "output_layers", "build_input_shape"];

/// What is said of a layer beside its options.
const LAYER_KEYS: [&str; 8] = [
    "class_name",
    "config",
    "name",
    "inbound_nodes",
    "module",
    "registered_name",
    "build_config",
    "shared_object_id",
];

fn wrong(problem: impl Into<String>) -> KerasError {
    KerasError::Architecture(problem.into())
}

fn layer_error(layer: &str, problem: impl Into<String>) -> KerasError {
    KerasError::Layer { layer: layer.to_owned(), problem: problem.into() }
}

/// Reads the JSON that `model.to_json()` writes, without weights.
///
/// # Errors
/// [`KerasError`] naming the layer where one is not understood.
pub fn read_architecture(json: &[u8]) -> Result<Model, KerasError> {
    let file: Value = serde_json::from_slice(json).map_err(|source| KerasError::Json { source })?;
    let class = file.get("class_name").and_then(Value::as_str).unwrap_or_default();
    let config = file.get("config").ok_or_else(|| wrong("has no `config`"))?;
    let mut model = match (class, config) {
        ("Sequential", Value::Object(config)) => {
            check_keys(config)?;
            sequential(config, layers(config)?)?
        }
        // As Keras before 2.2.3 wrote it.
        ("Sequential", Value::Array(list)) => {
            sequential(&Object::new(), list.iter().map(layer).collect::<Result<_, _>>()?)?
        }
        ("Functional" | "Model", Value::Object(config)) => {
            check_keys(config)?;
            functional(config)?
        }
        _ => {
            return Err(wrong(format!(
                "has the class `{class}`; supported are Sequential and Functional models"
            )));
        }
    };
    model.version = version_of(&file);
    let mut names = BTreeSet::new();
    match model.layers.iter().find(|layer| !names.insert(layer.name.as_str())) {
        Some(layer) => Err(layer_error(&layer.name, "another layer has the same name")),
        None => Ok(model),
    }
}

/// The version of Keras that JSON of a file names.
///
/// # Errors
/// [`KerasError::Json`] where it is none.
pub(super) fn version(json: &[u8]) -> Result<Option<String>, KerasError> {
    let file = serde_json::from_slice(json).map_err(|source| KerasError::Json { source })?;
    Ok(version_of(&file))
}

fn version_of(file: &Value) -> Option<String> {
    file.get("keras_version").and_then(Value::as_str).map(str::to_owned)
}

fn check_keys(config: &Object) -> Result<(), KerasError> {
    match config.keys().find(|key| !MODEL_KEYS.contains(&key.as_str())) {
        Some(key) => Err(wrong(format!("the model's option `{key}` is not supported"))),
        None => Ok(()),
    }
}

fn model_name(config: &Object) -> String {
    config.get("name").and_then(Value::as_str).unwrap_or("model").to_owned()
}

/// A layer and the JSON of how it is called.
type Called<'a> = (Layer, Option<&'a Value>);

fn layers(config: &Object) -> Result<Vec<Called<'_>>, KerasError> {
    let list = config.get("layers").and_then(Value::as_array);
    list.ok_or_else(|| wrong("has no list `layers`"))?.iter().map(layer).collect()
}

/// One layer, its inputs not yet known.
fn layer(value: &Value) -> Result<Called<'_>, KerasError> {
    let object = value.as_object().ok_or_else(|| wrong("a layer is not a JSON object"))?;
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let class = text("class_name").ok_or_else(|| wrong("a layer has no `class_name`"))?;
    let config = object.get("config").and_then(Value::as_object);
    let name = text("name").or_else(|| config?.get("name")?.as_str());
    let name = name.ok_or_else(|| wrong(format!("a layer of class `{class}` has no name")))?;
    if ["Sequential", "Functional", "Model"].contains(&class) {
        return Err(layer_error(
            name,
            "it is a nested model, which is not supported; build one flat model of all layers",
        ));
    }
    let config = config.ok_or_else(|| layer_error(name, "has no `config`"))?;
    if let Some(key) = object.keys().find(|key| !LAYER_KEYS.contains(&key.as_str())) {
        return Err(layer_error(name, format!("its entry `{key}` is not supported")));
    }
    // A layer of somebody else may have the name of one of Keras' own.
    let class = match (text("module"), text("registered_name")) {
        (None | Some("keras.layers"), None) => class.to_owned(),
        (None | Some("keras.layers"), Some(registered)) if registered == class => class.to_owned(),
        (module, registered) => match registered.or(module) {
            Some(path) if path.ends_with(class) => path.to_owned(),
            Some(path) => format!("{path}.{class}"),
            None => class.to_owned(),
        },
    };
    let layer = Layer {
        name: name.to_owned(),
        class,
        config: config.clone(),
        inputs: Vec::new(),
        weights: Vec::new(),
    };
    Ok((layer, object.get("inbound_nodes")))
}

/// Layers in a row; where none is an `InputLayer`, the first says what goes in.
fn sequential(config: &Object, layers: Vec<Called<'_>>) -> Result<Model, KerasError> {
    let mut layers: Vec<Layer> = layers.into_iter().map(|(layer, _)| layer).collect();
    let first = layers.first().ok_or_else(|| wrong("has no layer"))?;
    if first.class != "InputLayer" {
        let shape =
            ["batch_input_shape", "batch_shape"].iter().find_map(|key| first.config.get(*key));
        let shape = shape.or_else(|| config.get("build_input_shape")).ok_or_else(|| {
            layer_error(
                &first.name,
                "its input is not defined; start the model with `keras.Input(shape)`",
            )
        })?;
        let input = Layer {
            name: format!("{}_input", first.name),
            class: "InputLayer".to_owned(),
            config: Object::from_iter([("batch_shape".to_owned(), shape.clone())]),
            inputs: Vec::new(),
            weights: Vec::new(),
        };
        layers.insert(0, input);
    }
    for i in 1..layers.len() {
        layers[i].inputs = vec![layers[i - 1].name.clone()];
    }
    Ok(Model {
        name: model_name(config),
        version: None,
        inputs: layers.first().map(|layer| layer.name.clone()).into_iter().collect(),
        outputs: layers.last().map(|layer| layer.name.clone()).into_iter().collect(),
        layers,
    })
}

fn functional(config: &Object) -> Result<Model, KerasError> {
    let mut list = Vec::new();
    for (mut layer, nodes) in layers(config)? {
        let nodes = nodes.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        layer.inputs = match nodes {
            [] => Vec::new(),
            [node] => node_inputs(&layer.name, node)?,
            _ => {
                return Err(layer_error(
                    &layer.name,
                    format!(
                        "it is used {} times; only layers used once are supported",
                        nodes.len()
                    ),
                ));
            }
        };
        list.push(layer);
    }
    let named = |key: &str| {
        let names = config.get(key).and_then(ends);
        names.ok_or_else(|| wrong(format!("its `{key}` are not understood")))
    };
    Ok(Model {
        name: model_name(config),
        version: None,
        layers: list,
        inputs: named("input_layers")?,
        outputs: named("output_layers")?,
    })
}

/// `["name", 0, 0]`, or a list of such.
fn ends(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?;
    if list.first().is_some_and(Value::is_string) {
        return Some(vec![end(value)?]);
    }
    list.iter().map(end).collect()
}

/// The name in `["name", 0, 0]`: the only value of the layer's only use.
fn end(value: &Value) -> Option<String> {
    match value.as_array()?.as_slice() {
        [Value::String(name), node, tensor] if *node == 0 && *tensor == 0 => Some(name.clone()),
        _ => None,
    }
}

/// The layers that one use of a layer takes.
fn node_inputs(layer: &str, node: &Value) -> Result<Vec<String>, KerasError> {
    let unclear = || layer_error(layer, "its inputs (`inbound_nodes`) are not understood");
    match node {
        // Keras 3: `{"args": [tensor or list of tensors], "kwargs": {…}}`.
        Value::Object(node) => {
            check_call(layer, node.get("kwargs"))?;
            let Some([argument]) = node.get("args").and_then(Value::as_array).map(Vec::as_slice)
            else {
                return Err(unclear());
            };
            let list = match argument {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            list.iter()
                .map(|tensor| {
                    let history = tensor.get("config").and_then(|c| c.get("keras_history"));
                    history.and_then(end).ok_or_else(unclear)
                })
                .collect()
        }
        // Keras 2: a list of `[name, 0, 0, {…}]`, or one of them.
        Value::Array(list) => {
            let one = list.first().is_some_and(Value::is_string);
            let list = if one { std::slice::from_ref(node) } else { list.as_slice() };
            list.iter()
                .map(|input| {
                    let input = input.as_array().map(Vec::as_slice).ok_or_else(unclear)?;
                    let (place, arguments) = input.split_at(input.len().min(3));
                    if arguments.len() > 1 {
                        return Err(unclear());
                    }
                    check_call(layer, arguments.first())?;
                    end(&Value::Array(place.to_vec())).ok_or_else(unclear)
                })
                .collect()
        }
        _ => Err(unclear()),
    }
}

/// Refuses arguments of a call that would change what the layer computes.
fn check_call(layer: &str, arguments: Option<&Value>) -> Result<(), KerasError> {
    let Some(Value::Object(arguments)) = arguments else { return Ok(()) };
    for (key, value) in arguments {
        let is_default = match key.as_str() {
            "training" => matches!(value, Value::Null | Value::Bool(false)),
            "mask" => match value {
                Value::Null => true,
                Value::Array(masks) => masks.iter().all(Value::is_null),
                _ => false,
            },
            _ => false,
        };
        if !is_default {
            return Err(layer_error(
                layer,
                format!("it is called with `{key}` = {value}, which is not supported"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Model, String> {
        read_architecture(json.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let functional = |layer: &str, output: &str| {
            format!(
                r#"{{"class_name": "Functional", "config": {{"name": "m", "layers": [
                    {{"class_name": "InputLayer", "name": "x", "config": {{}}, "inbound_nodes": []}},
                    {layer}], "input_layers": [["x", 0, 0]], "output_layers": {output}}}}}"#
            )
        };
        let relu = |nodes: &str, more: &str| {
            format!(
                r#"{{"class_name": "ReLU", "name": "r", "config": {{}}, "inbound_nodes": {nodes}
                    {more}}}"#
            )
        };
        let output = r#"[["r", 0, 0]]"#;
        let cases = [
            (r#"{"class_name": "Sequential"}"#.to_owned(), "`config`"),
            (r#"{"class_name": "Mine", "config": {}}"#.to_owned(), "`Mine`"),
            (r#"{"class_name": "Sequential", "config": {"layers": []}}"#.to_owned(), "no layer"),
            (r#"{"class_name": "Sequential", "config": {"cut": 1}}"#.to_owned(), "`cut`"),
            (
                r#"{"class_name": "Sequential", "config": {"layers": [{"class_name": "ReLU",
                    "config": {"name": "r"}}]}}"#
                    .to_owned(),
                "keras.Input",
            ),
            (functional(&relu(r#"[[["x", 0, 0]], [["x", 0, 0]]]"#, ""), output), "used 2 times"),
            (functional(&relu(r#"[[["x", 1, 0]]]"#, ""), output), "not understood"),
            (functional(&relu(r#"[[["x", 0, 0, {"training": true}]]]"#, ""), output), "training"),
            (functional(&relu(r#"[[["x", 0, 0]]]"#, r#", "odd": 1"#), output), "`odd`"),
            (functional(&relu(r#"[[["x", 0, 0]]]"#, ""), "{}"), "`output_layers`"),
            (functional(&relu("[3]", ""), output), "not understood"),
            (functional(&relu("[]", "").replace("ReLU", "Functional"), output), "nested model"),
            (functional(&relu("[]", "").replace("\"r\"", "\"x\""), output), "same name"),
        ];
        for (json, expected) in cases {
            let error = read(&json).unwrap_err();
            assert!(error.contains(expected), "{error}: {json}");
        }
        let custom =
            relu(r#"[["x", 0, 0, {}]]"#, r#", "module": "mine", "registered_name": "a>ReLU""#);
        let model = read(&functional(&custom, output)).unwrap();
        assert_eq!(
            (model.layers[1].class.as_str(), &model.layers[1].inputs[0][..]),
            ("a>ReLU", "x")
        );
    }
}
