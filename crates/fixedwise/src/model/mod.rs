//! A model from its file to a graph.

mod foreign;
mod loaders;

use crate::{
    error::Error,
    files::read,
    fingerprint::sha256,
    result::{ModelResult, RoundedBeforeResult},
};
use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{
    Graph, InputShape, Interface, Semantics, Shape, Thinned, check_integer_forms, ops::Affine,
    passes,
};
use loaders::{Architecture, File};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A trained network in float, as its file has it.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::Model;
///
/// let model = Model::load(format!("{root}/models/fashion_small.onnx").as_ref())?;
/// assert_eq!(model.name(), "fashion_small");
/// assert_eq!(model.input_shape().dims(), [28, 28, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    /// How messages call it: its path, where it is a file.
    place: PathBuf,
    is_file: bool,
    name: String,
    sha256: String,
    graph: Graph,
    parameters: u64,
    /// What was said of its inputs and outputs.
    interface: Interface,
    /// What its file says was rounded before.
    rounded_before: Option<RoundedBeforeResult>,
    /// What an integer network of it lacks.
    thinned: Option<Arc<Thinned>>,
}

impl Model {
    /// Reads an ONNX file (tensors it keeps in other files must lie in its folder), or what Keras
    /// saved: an `.h5` file or a `.keras` archive, or a TensorFlow Lite file.
    ///
    /// # Errors
    /// [`Error`] naming the file, and the node or layer where one is not supported.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::open(path, None, &Interface::default())
    }

    /// Reads an `.h5` file in which Keras saved weights alone, for the network that `architecture`
    /// describes: the JSON that Keras writes, or an ONNX file whose nodes have the layers' names.
    ///
    /// # Errors
    /// [`Error`] naming the file, and the layer whose weights are missing or do not fit.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// use fixedwise::Model;
    ///
    /// let weights = format!("{root}/suite/keras/plain.weights.h5");
    /// let architecture = format!("{root}/suite/keras/plain.json");
    /// let model = Model::load_with(weights.as_ref(), architecture.as_ref())?;
    /// assert_eq!(model.classes(), 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn load_with(path: &Path, architecture: &Path) -> Result<Self, Error> {
        Self::open(path, Some(architecture), &Interface::default())
    }

    /// Reads a model whose file leaves extents of its input open, or of which other values are the outputs, as
    /// [`Model::load`] or [`Model::load_with`].
    ///
    /// # Errors
    /// [`Error`] naming the file, and the shape where it does not fit, or the output that does not exist.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// use fixedwise::{Interface, Model};
    ///
    /// let path = format!("{root}/models/fashion_small.onnx");
    /// // A shape that the file fixes may be given again, but no other one.
    /// let mut interface = Interface::default();
    /// interface.input_shapes = vec!["1x1x28x28".parse().expect("a shape")];
    /// assert!(Model::load_as(path.as_ref(), None, &interface).is_ok());
    /// interface.outputs = vec!["no_such_value".to_owned()];
    /// assert!(Model::load_as(path.as_ref(), None, &interface).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn load_as(
        path: &Path,
        architecture: Option<&Path>,
        interface: &Interface,
    ) -> Result<Self, Error> {
        Self::open(path, architecture, interface)
    }

    /// Reads a model from the bytes of a file: ONNX with all its tensors inside, what Keras saved with its
    /// architecture, or TensorFlow Lite.
    ///
    /// An extension of `name` (`.onnx`, `.h5`, `.keras`, `.tflite`) says of what kind they are; without one the bytes
    /// do, and those of no other kind are ONNX.
    ///
    /// # Errors
    /// [`Error`] naming the model, and the node or layer where one is not supported.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// # let path = format!("{root}/models/fashion_small.onnx");
    /// # let bytes = std::fs::read(&path).expect("readable");
    /// use fixedwise::Model;
    ///
    /// let model = Model::from_bytes("fashion_small", &bytes)?;
    /// assert_eq!(model.sha256(), Model::load(path.as_ref())?.sha256());
    /// assert_eq!(model.path(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes_as(name, bytes, &Interface::default())
    }

    /// As [`Model::from_bytes`], with what [`Model::load_as`] is told.
    ///
    /// # Errors
    /// As [`Model::from_bytes`] and [`Model::load_as`].
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// # let path = format!("{root}/models/fashion_small.onnx");
    /// # let bytes = std::fs::read(&path).expect("readable");
    /// use fixedwise::{Interface, Model};
    ///
    /// let whole = Model::from_bytes("fashion_small", &bytes)?;
    /// let interface = Interface { outputs: whole.outputs(), ..Interface::default() };
    /// assert_eq!(Model::from_bytes_as("fashion_small", &bytes, &interface)?.outputs(), whole.outputs());
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_bytes_as(name: &str, bytes: &[u8], interface: &Interface) -> Result<Self, Error> {
        let place = Path::new(name);
        let stem = loaders::is_known(place).then(|| place.file_stem()).flatten();
        let stem = stem.map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
        let file = File { place, bytes, has_path: false, architecture: None, interface };
        Self::new(&file, stem)
    }

    /// Reads a model whose architecture may be in a file of its own.
    pub(crate) fn open(
        path: &Path,
        architecture: Option<&Path>,
        interface: &Interface,
    ) -> Result<Self, Error> {
        foreign::check_folder(path)?;
        let bytes = read(path)?;
        let architecture = architecture.map(Architecture::read).transpose()?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let architecture = architecture.as_ref();
        let file = File { place: path, bytes: &bytes, has_path: true, architecture, interface };
        Self::new(&file, name)
    }

    fn new(file: &File, name: String) -> Result<Self, Error> {
        let graph = loaders::load(file, &name)?;
        let place = file.place.to_owned();
        if graph.layers().next().is_none() {
            return Err(Error::NoLayers { path: place });
        }
        let parameters = count_to_u64(graph.parameters());
        let sha256 = match file.architecture {
            None => sha256(file.bytes),
            Some(architecture) => sha256(&[file.bytes, &architecture.bytes].concat()),
        };
        let interface = file.interface.clone();
        let rounded = graph.rounded_before();
        let rounded_before = (!rounded.is_empty()).then(|| rounded.into());
        let is_file = file.has_path;
        Ok(Self {
            place,
            is_file,
            name,
            sha256,
            graph,
            parameters,
            interface,
            rounded_before,
            thinned: None,
        })
    }

    /// The file's name without its extension.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file; none where it came as bytes.
    pub fn path(&self) -> Option<&Path> {
        self.is_file.then_some(&*self.place)
    }

    /// Of the file (and the architecture after it, where that is a file of its own), in hexadecimal
    /// digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Extents of one image, of the first input where there are several.
    pub fn input_shape(&self) -> Shape {
        self.graph.input_shape()
    }

    /// The inputs in the order of the file: their names, and the extents of one image.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// let model = fixedwise::Model::load(format!("{root}/models/fashion_small.onnx").as_ref())?;
    /// assert_eq!(model.inputs().len(), 1);
    /// assert_eq!(model.inputs()[0].1, model.input_shape());
    /// # Ok(())
    /// # }
    /// ```
    pub fn inputs(&self) -> Vec<(String, Shape)> {
        let node = |&id: &usize| &self.graph.nodes[id];
        self.graph.inputs().iter().map(node).map(|node| (node.name.clone(), node.shape)).collect()
    }

    /// How messages call it.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Of each input, whether the file says that it holds integers from 0 to 255.
    pub(crate) fn takes_bytes(&self) -> Vec<bool> {
        self.graph.inputs().iter().map(|&input| self.graph.takes_bytes(input)).collect()
    }

    /// The names of its outputs: those that were chosen, else those of the file, in its order.
    pub fn outputs(&self) -> Vec<String> {
        self.graph.outputs().iter().map(|output| output.name.clone()).collect()
    }

    /// What was said of its inputs and outputs beside its file.
    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    /// How many classes its first output tells apart; two where it is one logit.
    pub fn classes(&self) -> usize {
        match self.graph.output_shape().len() {
            1 => 2,
            n => n,
        }
    }

    /// The network in float.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The network for raw pixels: `scale * pixel + shift`, channel by channel, is what each input took.
    pub(crate) fn with_affine(mut self, scaled: Vec<Affine>) -> Result<Self, Error> {
        self.graph = passes::insert_preprocessing(&self.graph, scaled)
            .map_err(|source| Error::Graph { path: self.place.clone(), source })?;
        Ok(self)
    }

    /// The model whose integer networks lack some channels, and the integer network.
    ///
    /// # Errors
    /// What does not fit the network.
    pub(crate) fn with_thinned(self, thinned: Arc<Thinned>) -> Result<(Self, Graph), Error> {
        let thin = Self { thinned: Some(thinned), ..self };
        let graph = thin.prepared(Semantics::Integer)?;
        Ok((thin, graph))
    }

    /// What its integer networks lack, where they lack something.
    pub(crate) fn thinned(&self, semantics: Semantics) -> Option<Arc<Thinned>> {
        self.thinned.clone().filter(|_| semantics == Semantics::Integer)
    }

    /// The network that a plan of these semantics speaks of with all its channels, where it lacks some.
    pub(crate) fn whole(&self, semantics: Semantics) -> Result<Option<Graph>, Error> {
        let whole = || Self { thinned: None, ..self.clone() }.prepared(semantics);
        self.thinned(semantics).map(|_| whole()).transpose()
    }

    /// The network that a plan of these semantics speaks of.
    pub(crate) fn prepared(&self, semantics: Semantics) -> Result<Graph, Error> {
        let graph = passes::prepare(&self.graph, semantics)
            .map_err(|source| Error::Graph { path: self.place.clone(), source })?;
        if semantics == Semantics::Integer {
            check_integer_forms(&graph).map_err(|source| Error::Import {
                path: self.place.clone(),
                source: source.into(),
            })?;
        }
        let Some(thinned) = self.thinned(semantics) else { return Ok(graph) };
        let refuse = |problem| Error::Plan { path: self.place.clone(), line: None, problem };
        passes::thin(&graph, &thinned).map_err(refuse)
    }

    /// As a result tells of it.
    pub(crate) fn result(&self) -> ModelResult {
        ModelResult {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            parameters: self.parameters,
            macs: self.graph.macs(),
            input_shapes: self.interface.input_shapes.iter().map(InputShape::to_string).collect(),
            outputs: self.interface.outputs.clone(),
            rounded_before: self.rounded_before.clone(),
        }
    }
}

/// A model that a job is given.
#[derive(Clone, Copy)]
pub(crate) enum ModelSource<'a> {
    /// A file, that of its architecture, and what is said of its inputs and outputs.
    File(&'a Path, Option<&'a Path>, &'a Interface),
    /// In memory; it has its architecture, so that none may be given beside it.
    Loaded(&'a Model, Option<&'a Path>),
}

impl ModelSource<'_> {
    pub(crate) fn open(self) -> Result<Model, Error> {
        match self {
            Self::File(path, architecture, interface) => Model::open(path, architecture, interface),
            Self::Loaded(model, None) => Ok(model.clone()),
            Self::Loaded(model, Some(_)) => Err(Error::Option {
                option: "architecture",
                problem: format!(
                    "is for files of weights alone; `{}` has its own architecture",
                    model.place.display()
                ),
            }),
        }
    }

    /// The files it is made from.
    pub(crate) fn files(&self) -> Vec<&Path> {
        match self {
            Self::File(path, architecture, _) => {
                [Some(*path), *architecture].into_iter().flatten().collect()
            }
            Self::Loaded(model, _) => model.path().into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_that_are_no_model_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents, expected) in [
            ("model.h5", &b""[..], "model.h5"),
            ("model.pt", b"weights", "model.pt"),
            ("empty.onnx", b"", "empty.onnx"),
            ("text.onnx", b"not a model", "text.onnx"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, contents).unwrap();
            let error = Model::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for (name, bytes, expected) in [
            ("nothing", &b""[..], "model `nothing`"),
            ("text", b"not a model", "model `text`"),
            ("a.keras", b"not an archive", "model `a.keras`"),
            ("zip", b"PK\x03\x04", "model `zip`"),
        ] {
            let error = Model::from_bytes(name, bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Model::load(folder.path()).is_err());
        assert!(Model::load(&folder.path().join("absent.onnx")).is_err());
    }
}
