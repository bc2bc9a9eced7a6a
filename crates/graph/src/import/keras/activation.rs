//! Activations: a layer of their own, or an option of another layer.

use super::layer::Layer;
use crate::{error::ImportError, import::builder::Value};
use fixedwise_codec::keras;
use serde_json::Value as Json;

/// Source: Keras `Activation`.
pub(crate) fn activation_layer(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let name = layer.name();
    layer.activation_named(value, name)
}

impl Layer<'_> {
    /// The option `activation` applied to `value`, as a node after the layer's own.
    pub(crate) fn activation(&mut self, value: Value) -> Result<Value, ImportError> {
        let name = format!("{}_activation", self.name());
        self.activation_named(value, &name)
    }

    fn activation_named(&mut self, value: Value, name: &str) -> Result<Value, ImportError> {
        let Some(option) = self.take("activation") else { return Ok(value) };
        let function = match option {
            Json::String(function) => Some(function.as_str()),
            Json::Object(object) if object.get("class_name") == Some(&"function".into()) => {
                object.get("config").and_then(Json::as_str)
            }
            // A layer as an activation.
            Json::Object(object) => {
                let text = |key: &str| object.get(key).and_then(Json::as_str);
                let (Some(class), Some(config)) =
                    (text("class_name"), object.get("config").and_then(Json::as_object))
                else {
                    return Err(self.refuse("activation", option, "it is not understood"));
                };
                if text("module").is_some_and(|module| module != "keras.layers")
                    || text("registered_name").is_some_and(|registered| registered != class)
                {
                    return Err(self.refuse(
                        "activation",
                        option,
                        "it is not a built-in activation \
                                                                  of Keras",
                    ));
                }
                let layer = keras::Layer {
                    name: name.to_owned(),
                    class: class.to_owned(),
                    config: config.clone(),
                    ..keras::Layer::default()
                };
                return Layer::read(self.builder, self.tables, &layer, vec![value]);
            }
            _ => None,
        };
        let functions = || self.tables.older.iter().chain(self.tables.functions);
        let known = functions().find(|(known, _)| function == Some(known));
        let Some((_, op)) = known else {
            let names = self.tables.functions.iter().map(|(name, _)| *name);
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(self.refuse("activation", option, &format!("supported are {names}")));
        };
        match op() {
            None => Ok(value),
            Some(op) => {
                let node = self.builder.push(name, op, vec![value.node])?;
                Ok(Value { node, axes: value.axes })
            }
        }
    }
}
