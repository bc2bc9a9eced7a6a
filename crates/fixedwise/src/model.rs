//! A model from its file to a graph.

use crate::{
    Error,
    output::{io_error, read},
    result::ModelResult,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{Graph, Semantics, Shape, from_onnx, passes};
use std::path::{Path, PathBuf};

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
    path: PathBuf,
    name: String,
    sha256: String,
    graph: Graph,
    parameters: u64,
}

impl Model {
    /// Reads an ONNX file; tensors it keeps in other files must lie in its folder.
    ///
    /// # Errors
    /// [`Error`] naming the file, and the node where one is not supported.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !extension.is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            // A file that is not there is the more likely slip.
            std::fs::metadata(path).map_err(|source| io_error("read", path, source))?;
            return Err(Error::ModelKind { path: path.to_owned() });
        }
        let bytes = read(path)?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let file = onnx::parse_model(&bytes, &|location| external(folder, location))
            .map_err(|source| Error::Onnx { path: path.to_owned(), source: source.into() })?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let graph = from_onnx(&file, &name)
            .map_err(|source| Error::Import { path: path.to_owned(), source: source.into() })?;
        if graph.layers().next().is_none() {
            return Err(Error::NoLayers { path: path.to_owned() });
        }
        let parameters = count_to_u64(graph.parameters());
        let sha256 = crate::sha256(&bytes);
        Ok(Self { path: path.to_owned(), name, sha256, graph, parameters })
    }

    /// The file's name without its extension.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of the file, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Extents of one image.
    pub fn input_shape(&self) -> Shape {
        self.graph.input_shape()
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.graph.output_shape().len()
    }

    /// The network in float.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The network for raw pixels: `scale * pixel + shift`, channel by channel, is what it took.
    pub(crate) fn with_affine(mut self, scale: Vec<f64>, shift: Vec<f64>) -> Result<Self, Error> {
        self.graph = passes::insert_preprocessing(&self.graph, scale, shift)
            .map_err(|source| Error::Graph { path: self.path.clone(), source })?;
        Ok(self)
    }

    /// The network that a plan of these semantics speaks of.
    pub(crate) fn prepared(&self, semantics: Semantics) -> Result<Graph, Error> {
        passes::prepare(&self.graph, semantics)
            .map_err(|source| Error::Graph { path: self.path.clone(), source })
    }

    /// As a result tells of it.
    pub(crate) fn result(&self) -> ModelResult {
        ModelResult {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            parameters: self.parameters,
            macs: self.graph.macs(),
        }
    }
}

/// The bytes of a file that a model refers to; only from the model's own folder, wherever links
/// lead.
fn external(folder: &Path, location: &str) -> Result<Vec<u8>, String> {
    let path = folder.join(location);
    let said = |error: std::io::Error| format!("`{}`: {error}", path.display());
    let folder = folder.canonicalize().map_err(said)?;
    let real = path.canonicalize().map_err(said)?;
    if !real.starts_with(&folder) {
        return Err(format!("`{}` leads out of the folder of the model", path.display()));
    }
    if !real.is_file() {
        return Err(format!("`{}` is not a file", path.display()));
    }
    std::fs::read(&real).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn external_data_comes_from_the_folder_of_the_model_only() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        fs::create_dir_all(folder.join("weights")).unwrap();
        fs::write(folder.join("weights/a.bin"), [1, 2]).unwrap();
        fs::write(root.path().join("secret"), [3]).unwrap();
        assert_eq!(external(&folder, "weights/a.bin"), Ok(vec![1, 2]));
        assert!(external(&folder, "../secret").unwrap_err().contains("leads out"));
        assert!(external(&folder, "absent").is_err());
        assert!(external(&folder, "weights").unwrap_err().contains("not a file"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.path().join("secret"), folder.join("link")).unwrap();
            assert!(external(&folder, "link").unwrap_err().contains("leads out"));
        }
    }

    #[test]
    fn files_that_are_no_model_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents, expected) in [
            ("model.h5", &b""[..], "model.h5"),
            ("empty.onnx", b"", "empty.onnx"),
            ("text.onnx", b"not a model", "text.onnx"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, contents).unwrap();
            let error = Model::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Model::load(folder.path()).is_err());
        assert!(Model::load(&folder.path().join("absent.onnx")).is_err());
    }
}
