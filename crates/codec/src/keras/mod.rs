//! Keras models: HDF5 files and `.keras` archives to plain structs.
//!
//! What the layers mean is not known here. A model is its architecture, which is JSON, and the
//! weights of its layers; either can come from a file of its own.

mod architecture;
mod weights;

pub use architecture::read_architecture;

use crate::hdf5::Hdf5;
use std::io::{Cursor, Read};
use zip::{ZipArchive, result::ZipError};

/// A Keras model, Sequential or Functional; models inside are their layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The version of Keras that saved it, where the file says it.
    pub version: Option<String>,
    /// Layers in the order of the file; names are unique.
    pub layers: Vec<Layer>,
    /// Names of the layers that take what goes in.
    pub inputs: Vec<String>,
    /// Names of the layers whose values come out.
    pub outputs: Vec<String>,
}

/// A layer of a Keras model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    /// Its name; after the names of the models it is in where others have it too.
    pub name: String,
    /// Its class, such as `Conv2D`; with the module before it where that is not Keras' own. An operation
    /// such as `keras.ops.add` is `keras.ops.Add`.
    pub class: String,
    /// Its options.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Names of the layers whose values it takes.
    pub inputs: Vec<String>,
    /// What else it takes: numbers, and at which position among all that it takes.
    pub constants: Vec<(usize, Tensor)>,
    /// Its weights in the order of the file.
    pub weights: Vec<Tensor>,
    /// Its name, after the names of the models it is in.
    pub path: Vec<String>,
    /// What `.keras` archives file its weights under.
    pub key: String,
    /// How often it was used before: a further use is a layer with the same weights.
    pub uses_before: usize,
}

/// A weight of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Where it is in the file.
    pub path: String,
    /// What it is called, such as `kernel`; `None` where the file only counts.
    pub name: Option<String>,
    /// Extents, slowest axis first. Their product is the number of elements.
    pub shape: Vec<usize>,
    /// The elements, last axis fastest.
    pub data: Vec<f32>,
}

/// The weights of all layers, not yet given to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// In the order of the file's keys.
    pub layers: Vec<LayerWeights>,
    /// Whether the keys are names of layers; else classes, counted.
    pub(crate) by_name: bool,
}

/// The weights of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// What the file files them under.
    pub(crate) key: String,
    /// The name of the layer, where the file says it.
    pub name: Option<String>,
    /// In the layer's own order.
    pub tensors: Vec<Tensor>,
}

/// What an HDF5 file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Hdf5Model {
    /// A whole model.
    Model(Model),
    /// Weights alone.
    Weights(Weights),
}

/// Why a Keras file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KerasError {
    /// A part of the HDF5 file cannot be read.
    #[error("{what}: {problem}")]
    Hdf5 {
        /// The part.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The archive itself is broken.
    #[error("not a readable .keras archive; it may be truncated or have another format")]
    Archive {
        /// What is wrong with it.
        #[source]
        source: ZipError,
    },
    /// A file in the archive.
    #[error("`{member}` in the archive {problem}")]
    Member {
        /// Its name.
        member: String,
        /// What is wrong.
        problem: String,
    },
    /// The architecture is no JSON.
    #[error("the architecture is not readable as JSON")]
    Json {
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The architecture is JSON of another shape.
    #[error("the architecture: {0}")]
    Architecture(String),
    /// One layer of the architecture.
    #[error("layer `{layer}`: {problem}")]
    Layer {
        /// Its name.
        layer: String,
        /// What is wrong.
        problem: String,
    },
    /// The weights and the architecture are of different models.
    #[error("{0}")]
    Weights(String),
}

/// Reads an `.h5` file of Keras 2 or 3, with or without its architecture. Weights and architecture
/// may have `limit` bytes in all, in the file or in memory.
///
/// # Errors
/// [`KerasError`] naming the part of the file.
pub fn read_h5(bytes: &[u8], limit: usize) -> Result<Hdf5Model, KerasError> {
    let mut file = weights::open(bytes, limit)?;
    let config = weights::at("/", file.text("/", "model_config"))?;
    match config {
        None => Ok(Hdf5Model::Weights(weights::read(&mut file, "/")?)),
        Some(config) => {
            let mut model = read_architecture(config.as_bytes())?;
            let version = weights::at("/", file.text("/", "keras_version"))?;
            model.version = version.or(model.version);
            let weights = weights::read(&mut file, "model_weights")?;
            model.with_weights(weights).map(Hdf5Model::Model)
        }
    }
}

/// Reads a `.keras` archive of Keras 3. No file in it may have more than `limit` bytes, in the
/// archive or in memory.
///
/// # Errors
/// [`KerasError`] naming the part of the archive.
pub fn read_archive(bytes: &[u8], limit: usize) -> Result<Model, KerasError> {
    const MEMBERS: [&str; 3] = ["config.json", "metadata.json", "model.weights.h5"];
    let broken = |source| KerasError::Archive { source };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.has_duplicate_names() {
        return Err(broken(ZipError::InvalidArchive("two members have the same name".into())));
    }
    for member in archive.file_names() {
        let member = member.map_err(broken)?;
        if !MEMBERS.contains(&member.as_ref()) {
            return Err(KerasError::Member {
                member: member.to_string(),
                problem: format!("is not read; supported are {}", MEMBERS.join(", ")),
            });
        }
    }
    let [config, metadata, weights] = MEMBERS;
    let mut model = read_architecture(&member(&mut archive, config, limit)?)?;
    if archive.index_for_name(metadata).is_some() {
        let metadata = member(&mut archive, metadata, limit)?;
        model.version = architecture::version(&metadata)?.or(model.version);
    }
    let bytes = member(&mut archive, weights, limit)?;
    let mut file: Hdf5 = weights::open(&bytes, limit)?;
    model.with_weights(weights::read(&mut file, "/")?)
}

/// The bytes of a file in an archive.
fn member(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: usize,
) -> Result<Vec<u8>, KerasError> {
    let wrong = |problem: String| KerasError::Member { member: name.to_owned(), problem };
    let file = archive.by_name(name).map_err(|error| wrong(format!("is missing: {error}")))?;
    let mut bytes = Vec::new();
    let most = crate::convert::count_to_u64(limit).saturating_add(1);
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if bytes.len() > limit {
        return Err(wrong(format!("has more than {limit} bytes")));
    }
    Ok(bytes)
}
