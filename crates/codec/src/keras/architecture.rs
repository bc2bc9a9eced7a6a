//! The architecture of a model, from the JSON of Keras 2 and of Keras 3.

use super::{
    KerasError, Layer, Model, Tensor,
    weights::{MAX_DEPTH, snake_case},
};
use crate::convert::f64_to_f32;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

type Object = Map<String, Value>;

/// What a model's own options may be: those read, and those that matter to training alone.
const MODEL_KEYS: [&str; 7] =
    ["name", "trainable", "dtype", "layers", "input_layers", "output_layers", "build_input_shape"];

/// What is said of a layer beside its options.
const LAYER_KEYS: [&str; 9] = [
    "class_name",
    "config",
    "name",
    "inbound_nodes",
    "module",
    "registered_name",
    "build_config",
    "shared_object_id",
    "compile_config",
];

fn wrong(problem: impl Into<String>) -> KerasError {
    KerasError::Architecture(problem.into())
}

fn layer_error(layer: &str, problem: impl Into<String>) -> KerasError {
    KerasError::Layer { layer: layer.to_owned(), problem: problem.into() }
}

/// Layers of a model, those of models inside included, at most.
const MAX_LAYERS: usize = 1 << 16;

/// Reads the JSON that `model.to_json()` writes, without weights.
///
/// # Errors
/// [`KerasError`] naming the layer where one is not understood.
pub fn read_architecture(json: &[u8]) -> Result<Model, KerasError> {
    let file: Value = serde_json::from_slice(json).map_err(|source| KerasError::Json { source })?;
    let class = file.get("class_name").and_then(Value::as_str).unwrap_or_default();
    let config = file.get("config").ok_or_else(|| wrong("has no `config`"))?;
    let mut model = read_model(class, config, &Scope::default())?;
    name_shortly(&mut model);
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

/// Where a model lies: the names of those around it, and what archives file its weights under.
#[derive(Default)]
struct Scope {
    names: Vec<String>,
    keys: String,
}

impl Scope {
    /// The name of a layer that no layer of another model has.
    fn path(&self, name: &str) -> String {
        let mut path = self.names.join("/");
        if !path.is_empty() {
            path.push('/');
        }
        path + name
    }
}

/// A model, its layers named by their paths.
fn read_model(class: &str, config: &Value, scope: &Scope) -> Result<Model, KerasError> {
    match (class, config) {
        ("Sequential", Value::Object(config)) => {
            check_keys(config)?;
            sequential(config, layers(config, scope)?, scope)
        }
        // As Keras before 2.2.3 wrote it.
        ("Sequential", Value::Array(list)) => {
            sequential(&Object::new(), entries(list, scope)?, scope)
        }
        ("Functional" | "Model", Value::Object(config)) => {
            check_keys(config)?;
            functional(config, scope)
        }
        _ => Err(wrong(format!(
            "has the class `{class}`; supported are Sequential and Functional models"
        ))),
    }
}

/// Gives layers of models inside their own names where no other layer has them.
fn name_shortly(model: &mut Model) {
    let mut counts = BTreeMap::<String, usize>::new();
    for layer in &model.layers {
        *counts.entry(layer.path.last().cloned().unwrap_or_default()).or_default() += 1;
    }
    let short: BTreeMap<String, String> = model
        .layers
        .iter()
        .filter_map(|layer| {
            let own = layer.path.last()?;
            (counts.get(own) == Some(&1)).then(|| (layer.name.clone(), own.clone()))
        })
        .collect();
    let rename = |name: &mut String| {
        if let Some(short) = short.get(name) {
            name.clone_from(short);
        }
    };
    for layer in &mut model.layers {
        rename(&mut layer.name);
        layer.inputs.iter_mut().for_each(rename);
    }
    model.inputs.iter_mut().chain(&mut model.outputs).for_each(rename);
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

/// A layer or a model inside, and the JSON of how it is called.
#[derive(Clone)]
struct Called<'a> {
    name: String,
    /// One layer, or those of a model.
    what: What,
    nodes: Option<&'a Value>,
}

#[derive(Clone)]
enum What {
    Layer(Box<Layer>),
    Model(Model),
}

fn layers<'a>(config: &'a Object, scope: &Scope) -> Result<Vec<Called<'a>>, KerasError> {
    let list = config.get("layers").and_then(Value::as_array);
    entries(list.ok_or_else(|| wrong("has no list `layers`"))?, scope)
}

fn entries<'a>(list: &'a [Value], scope: &Scope) -> Result<Vec<Called<'a>>, KerasError> {
    let mut counts = BTreeMap::<String, usize>::new();
    list.iter().map(|value| entry(value, scope, &mut counts)).collect()
}

/// One layer or model inside, its inputs not yet known; `counts` has how many of each class came before.
fn entry<'a>(
    value: &'a Value,
    scope: &Scope,
    counts: &mut BTreeMap<String, usize>,
) -> Result<Called<'a>, KerasError> {
    let object = value.as_object().ok_or_else(|| wrong("a layer is not a JSON object"))?;
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let class = text("class_name").ok_or_else(|| wrong("a layer has no `class_name`"))?;
    let options = object.get("config");
    let config = options.and_then(Value::as_object);
    let name = text("name").or_else(|| config?.get("name")?.as_str());
    let name = name.ok_or_else(|| wrong(format!("a layer of class `{class}` has no name")))?;
    if let Some(key) = object.keys().find(|key| !LAYER_KEYS.contains(&key.as_str())) {
        return Err(layer_error(name, format!("its entry `{key}` is not supported")));
    }
    let nodes = object.get("inbound_nodes");
    let kind = class;
    let is_model = ["Sequential", "Functional", "Model"].contains(&class);
    let mut class = class_of(class, text("module"), text("registered_name"));
    // HDF5 files do not say where a class is from, but operations cannot be trained.
    let is_operation = |config: &Object| {
        !["trainable", "dtype", "batch_shape", "layers"].iter().any(|key| config.contains_key(*key))
    };
    let is_called = nodes.and_then(Value::as_array).and_then(|nodes| nodes.first());
    if text("module").is_none()
        && is_called.is_some_and(|node| node.get("args").is_some())
        && config.is_some_and(is_operation)
    {
        class = format!("{OPERATIONS}{class}");
    }
    let mut key = scope.keys.clone();
    if !class.starts_with(OPERATIONS) {
        let class = snake_case(if is_model { kind } else { &class });
        let count = counts.entry(class.clone()).or_default();
        *count += 1;
        key += &if *count == 1 { class } else { format!("{class}_{}", *count - 1) };
    }
    let mut path = scope.names.clone();
    path.push(name.to_owned());
    if is_model {
        if path.len() > MAX_DEPTH {
            let problem = format!("it lies in more than {MAX_DEPTH} models");
            return Err(layer_error(name, problem));
        }
        let options = options.ok_or_else(|| layer_error(name, "has no `config`"))?;
        let inside = Scope { names: path, keys: key + "/" };
        let model = read_model(kind, options, &inside)?;
        return Ok(Called { name: name.to_owned(), what: What::Model(model), nodes });
    }
    let config = config.ok_or_else(|| layer_error(name, "has no `config`"))?;
    let mut layer = Layer {
        name: scope.path(name),
        class,
        config: config.clone(),
        path,
        key,
        ..Layer::default()
    };
    if layer.class == "TFOpLambda" {
        layer.class = tensorflow_operation(&mut layer.config);
    }
    Ok(Called { name: name.to_owned(), what: What::Layer(Box::new(layer)), nodes })
}

/// What the classes of operations begin with.
const OPERATIONS: &str = "keras.ops.";

/// The class with the module before it where that is not Keras' own: a layer of somebody else may have the
/// name of one of Keras.
fn class_of(class: &str, module: Option<&str>, registered: Option<&str>) -> String {
    match (module, registered) {
        (Some(module), None) if module.starts_with("keras.src.ops.") => {
            format!("{OPERATIONS}{class}")
        }
        (Some(module), Some(registered))
            if registered == class && module.starts_with("keras.src.ops.") =>
        {
            format!("{OPERATIONS}{class}")
        }
        (None | Some("keras.layers"), None) => class.to_owned(),
        (None | Some("keras.layers"), Some(registered)) if registered == class => class.to_owned(),
        (module, registered) => match registered.or(module) {
            Some(path) if path.ends_with(class) => path.to_owned(),
            Some(path) => format!("{path}.{class}"),
            None => class.to_owned(),
        },
    }
}

/// An operation of TensorFlow in a model of Keras 2 under the name that Keras 3 has for it.
fn tensorflow_operation(config: &mut Object) -> String {
    let function = config.remove("function");
    let function = function.as_ref().and_then(Value::as_str).unwrap_or_default();
    let class = match function {
        "math.add" | "__operators__.add" => "Add",
        "math.subtract" | "__operators__.sub" => "Subtract",
        "math.multiply" | "__operators__.mul" => "Multiply",
        "math.truediv" | "math.divide" | "__operators__.truediv" => "TrueDivide",
        "math.maximum" => "Maximum",
        "math.minimum" => "Minimum",
        "math.negative" => "Negative",
        "math.reduce_mean" => "Mean",
        "math.reduce_sum" => "Sum",
        "math.reduce_max" => "Max",
        "math.reduce_min" => "Min",
        "nn.relu" => "Relu",
        "nn.relu6" => "Relu6",
        "math.sigmoid" | "nn.sigmoid" => "Sigmoid",
        other => return format!("tf.{other}"),
    };
    format!("{OPERATIONS}{class}")
}

/// What takes the values of a model's layers: a layer with its inputs, or the layers of a model inside.
struct Flat {
    layers: Vec<Layer>,
    /// What stands for the value of a name: another one where it is a model inside, or the input of one.
    values: BTreeMap<String, String>,
}

impl Flat {
    /// The layer whose value is that of a name.
    fn value(&self, path: &str) -> String {
        self.values.get(path).cloned().unwrap_or_else(|| path.to_owned())
    }

    /// Adds a use of a layer, or of the layers of a model, with what it takes.
    fn push(
        &mut self,
        called: Called,
        (taken, uses_before): (Taken, usize),
        scope: &Scope,
    ) -> Result<(), KerasError> {
        let inputs: Vec<String> =
            taken.inputs.iter().map(|place| self.value(&scope.path(&place.key()))).collect();
        let own = scope.path(&called.name);
        let of_use = |name: &str| match (uses_before, name.strip_prefix(&own)) {
            (0, _) | (_, None) => name.to_owned(),
            (n, Some(inside)) => format!("{own}/{}{inside}", n + 1),
        };
        match called.what {
            What::Layer(mut layer) => {
                layer.inputs = inputs;
                layer.constants = taken.constants;
                layer.config.extend(taken.options);
                let place = Place { node: uses_before, ..Place::first(&called.name) };
                let name = of_use(&layer.name);
                self.values.insert(scope.path(&place.key()), name.clone());
                self.layers.push(Layer { name, uses_before, ..*layer });
            }
            What::Model(model) => {
                if !taken.constants.is_empty() || inputs.len() != model.inputs.len() {
                    let (n, m) = (inputs.len(), model.inputs.len());
                    let problem = format!("it is a model with {m} inputs and takes {n} values");
                    return Err(layer_error(&called.name, problem));
                }
                let taken = model.inputs.iter().map(|name| of_use(name));
                self.values.extend(taken.zip(inputs));
                for mut layer in model.layers {
                    if model.inputs.contains(&layer.name) {
                        continue;
                    }
                    for input in &mut layer.inputs {
                        *input = self.value(&of_use(input));
                    }
                    layer.name = of_use(&layer.name);
                    layer.uses_before += uses_before;
                    self.layers.push(layer);
                }
                for (value, output) in model.outputs.iter().enumerate() {
                    let output = self.value(&of_use(output));
                    let place = Place { name: called.name.clone(), node: uses_before, value };
                    self.values.insert(scope.path(&place.key()), output);
                }
            }
        }
        if self.layers.len() > MAX_LAYERS {
            return Err(wrong(format!("has more than {MAX_LAYERS} layers")));
        }
        Ok(())
    }
}

/// Layers in a row; where none is an `InputLayer`, the first says what goes in.
fn sequential(
    config: &Object,
    entries: Vec<Called<'_>>,
    scope: &Scope,
) -> Result<Model, KerasError> {
    let mut flat = Flat { layers: Vec::new(), values: BTreeMap::new() };
    let first = entries.first().ok_or_else(|| wrong("has no layer"))?;
    let own = match &first.what {
        What::Layer(layer) if layer.class == "InputLayer" => None,
        What::Layer(layer) => {
            let keys = ["batch_input_shape", "batch_shape"];
            Some(keys.iter().find_map(|key| layer.config.get(*key)).cloned())
        }
        What::Model(model) => {
            let input = model.layers.iter().find(|layer| model.inputs.contains(&layer.name));
            Some(input.and_then(|input| input.config.get("batch_shape")).cloned())
        }
    };
    let mut before = None;
    if let Some(own) = own {
        let shape = own.or_else(|| config.get("build_input_shape").cloned());
        let shape = shape.ok_or_else(|| {
            layer_error(
                &first.name,
                "its input is not defined; start the model with `keras.Input(shape)`",
            )
        })?;
        let name = format!("{}_input", first.name);
        let mut path = scope.names.clone();
        path.push(name.clone());
        flat.layers.push(Layer {
            name: scope.path(&name),
            class: "InputLayer".to_owned(),
            config: Object::from_iter([("batch_shape".to_owned(), shape)]),
            path,
            ..Layer::default()
        });
        before = Some(name);
    }
    let input = scope.path(before.as_deref().unwrap_or(&first.name));
    for called in entries {
        let inputs = before.iter().map(|name| Place::first(name)).collect();
        before = Some(called.name.clone());
        flat.push(called, (Taken { inputs, ..Taken::default() }, 0), scope)?;
    }
    let output = flat.value(&scope.path(&before.unwrap_or_default()));
    Ok(Model {
        name: model_name(config),
        version: None,
        inputs: vec![input],
        outputs: vec![output],
        layers: flat.layers,
    })
}

fn functional(config: &Object, scope: &Scope) -> Result<Model, KerasError> {
    let mut flat = Flat { layers: Vec::new(), values: BTreeMap::new() };
    let called = layers(config, scope)?;
    let mut uses = Vec::with_capacity(called.len());
    for (layer, called) in called.iter().enumerate() {
        let nodes = called.nodes.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if nodes.is_empty() {
            uses.push((layer, 0, Taken::default()));
        }
        for (node, json) in nodes.iter().enumerate() {
            uses.push((layer, node, node_inputs(called, json)?));
        }
    }
    let ends = |key: &str| {
        let places = config.get(key).and_then(ends);
        places.ok_or_else(|| wrong(format!("its `{key}` are not understood")))
    };
    let (mut inputs, mut outputs) = (ends("input_layers")?, ends("output_layers")?);
    let taken = uses.iter_mut().flat_map(|(.., taken)| &mut taken.inputs);
    count_from_zero(&called, taken.chain(&mut inputs).chain(&mut outputs).collect());
    if MAX_LAYERS < uses.len() {
        return Err(wrong(format!("has more than {MAX_LAYERS} layers")));
    }
    for (layer, node, taken) in in_order(&called, uses) {
        flat.push(called[layer].clone(), (taken, node), scope)?;
    }
    let named = |places: &[Place]| {
        places.iter().map(|place| flat.value(&scope.path(&place.key()))).collect()
    };
    Ok(Model {
        name: model_name(config),
        version: None,
        inputs: named(&inputs),
        outputs: named(&outputs),
        layers: flat.layers,
    })
}

/// Keras 2 counts the uses of a model inside from one on: those of a model that is not used so often lose one.
fn count_from_zero(called: &[Called], mut places: Vec<&mut Place>) {
    for called in called.iter().filter(|called| matches!(called.what, What::Model(_))) {
        let nodes = called.nodes.and_then(Value::as_array).map_or(0, Vec::len);
        let own = || places.iter().filter(|place| place.name == called.name);
        if own().all(|place| place.node > 0) && own().any(|place| place.node == nodes) {
            let own = places.iter_mut().filter(|place| place.name == called.name);
            own.for_each(|place| place.node -= 1);
        }
    }
}

/// A use of a layer: which, how many uses before, and what it takes.
type Use = (usize, usize, Taken);

/// Uses in an order in which each comes behind those it takes values of: as they are listed, where that is one.
/// What is in a circle, or takes what is not there, comes last.
fn in_order(called: &[Called], uses: Vec<Use>) -> Vec<Use> {
    let key = |layer: usize, node: usize| (called[layer].name.clone(), node);
    let own: BTreeMap<(String, usize), usize> =
        uses.iter().enumerate().map(|(i, &(layer, node, _))| (key(layer, node), i)).collect();
    let mut takers = vec![Vec::new(); uses.len()];
    let mut missing = vec![0_usize; uses.len()];
    for (i, (.., taken)) in uses.iter().enumerate() {
        for place in &taken.inputs {
            missing[i] += 1;
            if let Some(&from) = own.get(&(place.name.clone(), place.node)) {
                takers[from].push(i);
            }
        }
    }
    let mut ready: BTreeSet<usize> = (0..uses.len()).filter(|&i| missing[i] == 0).collect();
    let mut order = Vec::with_capacity(uses.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for &taker in &takers[next] {
            missing[taker] -= 1;
            if missing[taker] == 0 {
                ready.insert(taker);
            }
        }
    }
    order.extend((0..uses.len()).filter(|&i| missing[i] > 0));
    let mut uses: Vec<Option<Use>> = uses.into_iter().map(Some).collect();
    order.into_iter().filter_map(|i| uses[i].take()).collect()
}

/// A value of a layer: of which of its uses, and which of the use's.
#[derive(Clone)]
struct Place {
    name: String,
    node: usize,
    value: usize,
}

impl Place {
    fn first(name: &str) -> Self {
        Self { name: name.to_owned(), node: 0, value: 0 }
    }

    /// A name for it: that of the layer, where it has one value of one use.
    fn key(&self) -> String {
        match (self.node, self.value) {
            (0, 0) => self.name.clone(),
            (node, value) => format!("{}:{node}:{value}", self.name),
        }
    }
}

/// `["name", 0, 0]`, or a list of such.
fn ends(value: &Value) -> Option<Vec<Place>> {
    let list = value.as_array()?;
    if list.first().is_some_and(Value::is_string) {
        return Some(vec![end(value)?]);
    }
    list.iter().map(end).collect()
}

/// The value in `["name", 0, 0]`: a layer, which of its uses, and which of the use's values.
fn end(value: &Value) -> Option<Place> {
    let count = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    match value.as_array()?.as_slice() {
        [Value::String(name), node, value] => {
            Some(Place { name: name.clone(), node: count(node)?, value: count(value)? })
        }
        _ => None,
    }
}

/// What one use of a layer takes.
#[derive(Default)]
struct Taken {
    inputs: Vec<Place>,
    constants: Vec<(usize, Tensor)>,
    /// Further arguments of an operation.
    options: Object,
}

impl Taken {
    /// Adds the next argument: a tensor's place, numbers, or a list of both.
    fn push(&mut self, place: Option<Place>, value: &Value) -> Option<()> {
        let position = self.inputs.len() + self.constants.len();
        if let Some(place) = place {
            self.inputs.push(place);
        } else {
            self.constants.push((position, numbers(value)?));
        }
        Some(())
    }
}

/// A number, or numbers in lists of equal lengths.
fn numbers(value: &Value) -> Option<Tensor> {
    let mut tensor =
        Tensor { path: "a constant".to_owned(), name: None, shape: vec![], data: vec![] };
    let mut level = vec![value];
    while let Some(Value::Array(first)) = level.first() {
        tensor.shape.push(first.len());
        let mut inside = Vec::new();
        for list in level {
            let list = list.as_array().filter(|list| list.len() == first.len())?;
            inside.extend(list);
        }
        level = inside;
    }
    for number in level {
        tensor.data.push(f64_to_f32(number.as_f64()?));
    }
    Some(tensor)
}

/// What one use of a layer takes.
fn node_inputs(called: &Called, node: &Value) -> Result<Taken, KerasError> {
    let layer = &called.name;
    let is_operation =
        matches!(&called.what, What::Layer(layer) if layer.class.starts_with(OPERATIONS));
    let unclear = || layer_error(layer, "its inputs (`inbound_nodes`) are not understood");
    let mut taken = Taken::default();
    match node {
        // Keras 3: `{"args": [tensor, number or list of tensors, ...], "kwargs": {…}}`.
        Value::Object(node) => {
            check_call(called, node.get("kwargs"))?;
            let arguments = node.get("args").and_then(Value::as_array).ok_or_else(unclear)?;
            if arguments.is_empty() || arguments.len() > 1 && !is_operation {
                return Err(unclear());
            }
            let is_list = |argument: &Value| {
                argument.as_array().is_some_and(|list| list.iter().any(Value::is_object))
            };
            for argument in arguments {
                let list = match argument {
                    Value::Array(list) if is_list(argument) => list.as_slice(),
                    one => std::slice::from_ref(one),
                };
                for one in list {
                    let config = one.get("config");
                    let history = config.and_then(|config| config.get("keras_history"));
                    let place = match history {
                        Some(history) => Some(end(history).ok_or_else(unclear)?),
                        None => None,
                    };
                    let value = config.and_then(|config| config.get("value")).unwrap_or(one);
                    taken.push(place, value).ok_or_else(unclear)?;
                }
            }
        }
        // Keras 2: a list of `[name, 0, 0, {…}]`, or one of them.
        Value::Array(list) => {
            let one = list.first().is_some_and(Value::is_string);
            let list = if one { std::slice::from_ref(node) } else { list.as_slice() };
            for input in list {
                let input = input.as_array().map(Vec::as_slice).ok_or_else(unclear)?;
                let (place, arguments) = input.split_at(input.len().min(3));
                if arguments.len() > 1 {
                    return Err(unclear());
                }
                match place {
                    [Value::String(name), index, value]
                        if name == "_CONSTANT_VALUE" && *index == -1 =>
                    {
                        taken.push(None, value).ok_or_else(unclear)?;
                    }
                    _ => {
                        let place = end(&Value::Array(place.to_vec())).ok_or_else(unclear)?;
                        taken.push(Some(place), &Value::Null).ok_or_else(unclear)?;
                    }
                }
                if !is_operation {
                    check_call(called, arguments.first())?;
                    continue;
                }
                let arguments = arguments.first().and_then(Value::as_object);
                for (key, value) in arguments.into_iter().flatten() {
                    match key.as_str() {
                        "name" if value.is_null() => {}
                        "y" => taken.push(end(value), value).ok_or_else(unclear)?,
                        _ => _ = taken.options.insert(key.clone(), value.clone()),
                    }
                }
            }
        }
        _ => return Err(unclear()),
    }
    Ok(taken)
}

/// Refuses arguments of a call that would change what the layer computes.
fn check_call(called: &Called, arguments: Option<&Value>) -> Result<(), KerasError> {
    let Some(Value::Object(arguments)) = arguments else { return Ok(()) };
    // Layers that prepare images are called so by default, and otherwise by whoever predicts.
    let prepares = |class: &str| class.starts_with("Random") || class == "Resizing";
    let is_free = matches!(&called.what, What::Layer(layer) if prepares(&layer.class));
    for (key, value) in arguments {
        let is_default = match key.as_str() {
            "training" => is_free || matches!(value, Value::Null | Value::Bool(false)),
            "mask" => match value {
                Value::Null => true,
                Value::Array(masks) => masks.iter().all(Value::is_null),
                _ => false,
            },
            _ => false,
        };
        if !is_default {
            return Err(layer_error(
                &called.name,
                format!("it is called with `{key}` = {value}, which is not supported"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keras::{LayerWeights, Weights};

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
            (functional(&relu(r#"[[["x", -1, 0]]]"#, ""), output), "not understood"),
            (functional(&relu(r#"[[["x", 0, 0, {"training": true}]]]"#, ""), output), "training"),
            (functional(&relu(r#"[[["x", 0, 0]]]"#, r#", "odd": 1"#), output), "`odd`"),
            (functional(&relu(r#"[[["x", 0, 0]]]"#, ""), "{}"), "`output_layers`"),
            (functional(&relu("[3]", ""), output), "not understood"),
            (functional(&relu("[]", "").replace("ReLU", "Functional"), output), "no list `layers`"),
            (functional(&relu("[]", "").replace("\"r\"", "\"x\""), output), "same name"),
        ];
        for (json, expected) in cases {
            let error = read(&json).unwrap_err();
            assert!(error.contains(expected), "{error}: {json}");
        }
        // Used twice, the first time behind the second, whose values are both put out.
        let twice = relu(r#"[[["r", 1, 0]], [["x", 0, 0]]]"#, "");
        let model = read(&functional(&twice, r#"[["r", 1, 0], ["r", 0, 0]]"#)).unwrap();
        let names: Vec<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(
            (names, &model.outputs[..]),
            (vec!["x", "r/2", "r"], &["r/2", "r"].map(str::to_owned)[..])
        );
        assert_eq!((&model.layers[1].inputs[0][..], &model.layers[2].inputs[0][..]), ("x", "r/2"));
        let tensor = Tensor { path: "w".to_owned(), name: None, shape: vec![1], data: vec![3.0] };
        let weights = LayerWeights { key: "re_lu".to_owned(), name: None, tensors: vec![tensor] };
        let model = model.with_weights(Weights { layers: vec![weights], by_name: false }).unwrap();
        assert_eq!(model.layers[1].weights.len(), 1);
        assert_eq!(model.layers[1].weights, model.layers[2].weights);
        let custom =
            relu(r#"[["x", 0, 0, {}]]"#, r#", "module": "mine", "registered_name": "a>ReLU""#);
        let model = read(&functional(&custom, output)).unwrap();
        assert_eq!(
            (model.layers[1].class.as_str(), &model.layers[1].inputs[0][..]),
            ("a>ReLU", "x")
        );
    }
}
