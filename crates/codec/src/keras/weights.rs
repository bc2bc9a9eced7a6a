//! Weights from HDF5, by layer.

use super::{KerasError, LayerWeights, Model, Tensor, Weights};
use crate::hdf5::Hdf5;
use std::collections::BTreeMap;

/// Opens an HDF5 file.
pub(super) fn open(bytes: &[u8], limit: usize) -> Result<Hdf5, KerasError> {
    Hdf5::open(bytes, limit).map_err(|problem| KerasError::Hdf5 {
        what: "not a readable HDF5 file; it may be truncated or have another format".to_owned(),
        problem,
    })
}

/// Runs `read` on `path`, which an error then names.
pub(super) fn at<T>(path: &str, read: Result<T, String>) -> Result<T, KerasError> {
    read.map_err(|problem| KerasError::Hdf5 {
        what: format!("`{path}` in the file, which may be truncated"),
        problem,
    })
}

fn join(group: &str, name: &str) -> String {
    format!("{}/{name}", group.trim_end_matches('/'))
}

/// The weights below a group, in either of Keras' two ways to file them.
pub(super) fn read(file: &mut Hdf5, root: &str) -> Result<Weights, KerasError> {
    if let Some(names) = at(root, file.texts(root, "layer_names"))? {
        return by_name(file, root, names);
    }
    let members = at(root, file.members(root))?;
    if members.groups.iter().any(|group| group == "layers") {
        return by_class(file, &join(root, "layers"));
    }
    Err(KerasError::Hdf5 {
        what: format!("`{root}` in the file"),
        problem: "has neither the attribute `layer_names` nor a group `layers`: these are not \
                  weights that Keras saved"
            .to_owned(),
    })
}

/// As Keras 2 saves weights: a group of the layer's name, with a list of their names.
fn by_name(file: &mut Hdf5, root: &str, names: Vec<String>) -> Result<Weights, KerasError> {
    let mut layers = Vec::with_capacity(names.len());
    for layer in names {
        let group = join(root, &layer);
        let listed = at(&group, file.texts(&group, "weight_names"))?;
        let Some(listed) = listed else {
            return Err(KerasError::Hdf5 {
                what: format!("`{group}` in the file"),
                problem: "has no attribute `weight_names`".to_owned(),
            });
        };
        let mut tensors = Vec::with_capacity(listed.len());
        for name in listed {
            let path = join(&group, &name);
            let (shape, data) = at(&path, file.floats(&path))?;
            let last = name.rsplit('/').next().unwrap_or(&name);
            // TensorFlow counts the outputs of what it calls a variable.
            let last = last.strip_suffix(":0").unwrap_or(last).to_owned();
            tensors.push(Tensor { path, name: Some(last), shape, data });
        }
        layers.push(LayerWeights { key: layer.clone(), name: Some(layer), tensors });
    }
    Ok(Weights { layers, by_name: true })
}

/// As Keras 3 saves weights: a group for each layer, called after its class and counted; in it
/// `vars` with the weights, counted too. What else a layer owns is the state of random numbers.
fn by_class(file: &mut Hdf5, root: &str) -> Result<Weights, KerasError> {
    let mut layers = Vec::new();
    for key in at(root, file.members(root))?.groups {
        let layer = join(root, &key);
        if !at(&layer, file.members(&layer))?.groups.iter().any(|group| group == "vars") {
            continue;
        }
        let group = join(&layer, "vars");
        let name = at(&group, file.text(&group, "name"))?;
        let count = at(&group, file.members(&group))?.datasets.len();
        let mut tensors = Vec::with_capacity(count);
        for index in 0..count {
            let path = join(&group, &index.to_string());
            let (shape, data) = at(&path, file.floats(&path))?;
            tensors.push(Tensor { path, name: None, shape, data });
        }
        layers.push(LayerWeights { key, name, tensors });
    }
    Ok(Weights { layers, by_name: false })
}

impl Weights {
    /// The weights of layers that have any, by the name of the layer.
    ///
    /// # Errors
    /// [`KerasError::Weights`] where the file does not name its layers, or one name twice.
    pub fn by_layer_name(self) -> Result<BTreeMap<String, Vec<Tensor>>, KerasError> {
        let mut layers = BTreeMap::new();
        for LayerWeights { key, name, tensors } in self.layers {
            if tensors.is_empty() {
                continue;
            }
            let name = name.ok_or_else(|| {
                KerasError::Weights(format!(
                    "the file does not say to which layer the weights `{key}` belong; give the \
                     architecture as the JSON that Keras writes"
                ))
            })?;
            if layers.contains_key(&name) {
                return Err(twice(&name));
            }
            layers.insert(name, tensors);
        }
        Ok(layers)
    }
}

fn twice(name: &str) -> KerasError {
    KerasError::Weights(format!("the file has weights of `{name}` twice"))
}

impl Model {
    /// The model with those weights in its layers.
    ///
    /// # Errors
    /// [`KerasError::Weights`] naming weights that no layer has. A layer that lacks weights is
    /// found by who knows what it needs.
    pub fn with_weights(mut self, weights: Weights) -> Result<Self, KerasError> {
        let mut found = BTreeMap::new();
        for LayerWeights { key, tensors, .. } in weights.layers {
            if tensors.is_empty() {
                continue;
            }
            if found.contains_key(&key) {
                return Err(twice(&key));
            }
            found.insert(key, tensors);
        }
        let mut counts = BTreeMap::<String, usize>::new();
        for layer in &mut self.layers {
            let key = if weights.by_name {
                layer.name.clone()
            } else {
                let class = snake_case(&layer.class);
                let count = counts.entry(class.clone()).or_default();
                *count += 1;
                if *count == 1 { class } else { format!("{class}_{}", *count - 1) }
            };
            layer.weights = found.remove(&key).unwrap_or_default();
        }
        match found.first_key_value() {
            None => Ok(self),
            Some((key, _)) => Err(KerasError::Weights(format!(
                "the file has weights of `{key}`, which is not a layer of the architecture"
            ))),
        }
    }
}

/// How Keras turns the name of a class into a key: `SeparableConv2D` is `separable_conv2d`.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut key = String::with_capacity(class.len() + 4);
    for (i, &letter) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| letters[i]);
        let begins_word =
            letter.is_ascii_uppercase() && letters.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let after_word =
            letter.is_ascii_uppercase() && before.is_some_and(|before| before.is_ascii_lowercase());
        if before.is_some() && (begins_word || after_word) {
            key.push('_');
        }
        key.push(letter.to_ascii_lowercase());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_keras() {
        for (class, key) in [
            ("Conv2D", "conv2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("LeakyReLU", "leaky_re_lu"),
            ("ReLU", "re_lu"),
            ("ZeroPadding2D", "zero_padding2d"),
            ("InputLayer", "input_layer"),
            ("Dense", "dense"),
        ] {
            assert_eq!(snake_case(class), key);
        }
    }
}
