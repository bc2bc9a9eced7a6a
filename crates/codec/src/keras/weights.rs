//! Weights from HDF5, by layer.

use super::{KerasError, Layer, LayerWeights, Model, Tensor, Weights};
use crate::hdf5::Hdf5;
use std::collections::BTreeMap;

/// Models in models, at most.
pub(super) const MAX_DEPTH: usize = 16;

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
    collect_by_class(file, root, "", 0, &mut layers)?;
    Ok(Weights { layers, by_name: false })
}

/// Models inside have a group `layers` of their own.
fn collect_by_class(
    file: &mut Hdf5,
    root: &str,
    prefix: &str,
    depth: usize,
    layers: &mut Vec<LayerWeights>,
) -> Result<(), KerasError> {
    for key in at(root, file.members(root))?.groups {
        let layer = join(root, &key);
        let groups = at(&layer, file.members(&layer))?.groups;
        let has = |name: &str| groups.iter().any(|group| group == name);
        let key = format!("{prefix}{key}");
        if has("layers") && depth < MAX_DEPTH {
            let inside = format!("{key}/");
            collect_by_class(file, &join(&layer, "layers"), &inside, depth + 1, layers)?;
        }
        if !has("vars") {
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
    Ok(())
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
        let repeated = self.take_repeated();
        for layer in &mut self.layers {
            let key = if weights.by_name { &layer.name } else { &layer.key };
            layer.weights = match &layer.path[..] {
                [_, _, ..] if weights.by_name => Vec::new(),
                _ => found.remove(key).unwrap_or_default(),
            };
        }
        if weights.by_name {
            self.share_out(&mut found);
        }
        self.give_back(repeated);
        match found.first_key_value() {
            None => Ok(self),
            Some((key, _)) => Err(KerasError::Weights(format!(
                "the file has weights of `{key}`, which is not a layer of the architecture"
            ))),
        }
    }
}

impl Model {
    /// Takes layers away that are further uses of others; each with its place.
    fn take_repeated(&mut self) -> Vec<(usize, Layer)> {
        let all = std::mem::take(&mut self.layers).into_iter().enumerate();
        let (repeated, first) = all.partition::<Vec<_>, _>(|(_, layer)| layer.uses_before > 0);
        self.layers = first.into_iter().map(|(_, layer)| layer).collect();
        repeated
    }

    /// Puts them back, with the weights of the first use.
    fn give_back(&mut self, repeated: Vec<(usize, Layer)>) {
        for (place, mut layer) in repeated {
            let is_same = |other: &&Layer| other.path == layer.path && other.key == layer.key;
            let first = self.layers.iter().find(is_same);
            layer.weights = first.map_or_else(Vec::new, |first| first.weights.clone());
            self.layers.insert(place, layer);
        }
    }

    /// Gives the layers of models inside their weights, which lie together in the file, those that are trained
    /// first.
    fn share_out(&mut self, found: &mut BTreeMap<String, Vec<Tensor>>) {
        for (model, tensors) in found.iter_mut() {
            let left = std::mem::take(tensors);
            let folder = format!("{model}/");
            // How many of the last folders of a weight are the last names of a layer's path.
            let agreeing = |layer: &Layer, tensor: &Tensor| {
                if layer.path.len() < 2 || layer.path[0] != *model {
                    return 0;
                }
                let inside = tensor.path.split_once(&folder).map_or("", |(_, inside)| inside);
                let folders = inside.rsplit('/').skip(1);
                folders.zip(layer.path.iter().rev()).take_while(|(a, b)| a == b).count()
            };
            let most = |layer: &Layer| left.iter().map(|tensor| agreeing(layer, tensor)).max();
            let most: Vec<usize> = self.layers.iter().map(|l| most(l).unwrap_or(0)).collect();
            for tensor in &left {
                // Of layers with one name, that whose other weights do not lie in more of its folders.
                let candidates = self.layers.iter().zip(&most).enumerate();
                let best = candidates
                    .map(|(i, (layer, most))| (i, agreeing(layer, tensor), *most))
                    .filter(|&(_, own, most)| own > 0 && own == most)
                    .max_by_key(|&(_, own, _)| own);
                match best {
                    Some((i, ..)) => self.layers[i].weights.push(tensor.clone()),
                    None => tensors.push(tensor.clone()),
                }
            }
        }
        found.retain(|_, tensors| !tensors.is_empty());
    }
}

/// How Keras turns the name of a class into a key: `SeparableConv2D` is `separable_conv2d`.
pub(super) fn snake_case(class: &str) -> String {
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
