//! Which file of a model is read how.

use super::foreign;
use crate::{error::Error, files::read};
use fixedwise_codec::{
    keras::{self, Hdf5Model},
    onnx, tflite,
};
use fixedwise_graph::{
    Graph, ImportError, Interface, from_keras_with, from_onnx_with, from_onnx_with_weights,
    from_tflite,
};
use std::path::Path;

/// Bytes of the weights of one model, at most.
const LIMIT: usize = 1 << 30;

/// A model's file, its bytes, and the file that gives its architecture.
pub(crate) struct File<'a> {
    /// Its path, or how messages call bytes that came without one.
    pub(crate) place: &'a Path,
    pub(crate) has_path: bool,
    pub(crate) bytes: &'a [u8],
    pub(crate) architecture: Option<&'a Architecture>,
    /// Extents that the file leaves open, and outputs that are chosen.
    pub(crate) interface: &'a Interface,
}

/// A file that gives an architecture, and its bytes.
pub(crate) struct Architecture {
    path: std::path::PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl Architecture {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        Ok(Self { path: path.to_owned(), bytes: read(path)? })
    }
}

/// One kind of file: how its name ends, which bytes stand where in it if that tells, who reads it.
struct Loader {
    extensions: &'static [&'static str],
    magic: Option<(usize, &'static [u8])>,
    load: fn(&File, &str) -> Result<Graph, Error>,
}

const ONNX: Loader = Loader { extensions: &["onnx"], magic: None, load: load_onnx };
const H5: Loader =
    Loader { extensions: &["h5", "hdf5"], magic: Some((0, b"\x89HDF\r\n\x1a\n")), load: load_h5 };
const KERAS: Loader = Loader { extensions: &["keras"], magic: None, load: load_keras };
const TFLITE: Loader =
    Loader { extensions: &["tflite", "lite"], magic: Some((4, b"TFL3")), load: load_tflite };

/// The kinds of file, the name deciding before the bytes.
const LOADERS: [Loader; 4] = [ONNX, H5, KERAS, TFLITE];

fn named(path: &Path) -> Option<&'static Loader> {
    let is = |loader: &&Loader| loader.extensions.iter().any(|end| has_extension(path, end));
    LOADERS.iter().find(is)
}

/// Whether a name says what kind of model a file is.
pub(crate) fn is_known(path: &Path) -> bool {
    named(path).is_some()
}

fn loader(file: &File) -> Option<&'static Loader> {
    let has = |(at, magic): (usize, &[u8])| {
        file.bytes.get(at..).is_some_and(|bytes| bytes.starts_with(magic))
    };
    let by_bytes = || LOADERS.iter().find(|loader| loader.magic.is_some_and(has));
    let nameless = || if has((0, foreign::ZIP)) { &KERAS } else { &ONNX };
    let found = named(file.place).or_else(by_bytes);
    if file.has_path { found } else { found.or_else(|| Some(nameless())) }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    let found = path.extension().and_then(|extension| extension.to_str());
    found.is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// The graph in a file, under that name.
pub(crate) fn load(file: &File, name: &str) -> Result<Graph, Error> {
    foreign::check_content(file.place, file.bytes)?;
    match loader(file) {
        Some(loader) => (loader.load)(file, name),
        None => Err(foreign::by_name(file.place)),
    }
}

fn broken(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::ModelFile { path: path.to_owned(), source: source.into() }
}

fn not_taken_in(path: &Path) -> impl Fn(ImportError) -> Error {
    |source| Error::Import { path: path.to_owned(), source: source.into() }
}

/// Refuses a second architecture.
fn has_its_own(file: &File) -> Result<(), Error> {
    match file.architecture {
        None => Ok(()),
        Some(_) => Err(Error::Option {
            option: "architecture",
            problem: format!(
                "is only for files without an architecture; `{}` contains its architecture",
                file.place.display()
            ),
        }),
    }
}

fn parse_onnx(path: &Path, bytes: &[u8]) -> Result<onnx::Model, Error> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    onnx::parse_model(bytes, &|location| external(folder, location))
        .map_err(|error| broken(path, error))
}

/// Bytes alone have no folder that other files could lie in.
fn parse_bytes(place: &Path, bytes: &[u8]) -> Result<onnx::Model, Error> {
    let other = |location: &str| {
        Err(format!(
            "`{location}` is a file of its own; load the model from its path, or save it in one"
        ))
    };
    onnx::parse_model(bytes, &other).map_err(|error| broken(place, error))
}

fn load_onnx(file: &File, name: &str) -> Result<Graph, Error> {
    has_its_own(file)?;
    let parse = if file.has_path { parse_onnx } else { parse_bytes };
    from_onnx_with(&parse(file.place, file.bytes)?, name, file.interface)
        .map_err(not_taken_in(file.place))
}

fn load_keras(file: &File, name: &str) -> Result<Graph, Error> {
    has_its_own(file)?;
    let model =
        keras::read_archive(file.bytes, LIMIT).map_err(|error| broken(file.place, error))?;
    from_keras_with(&model, name, file.interface).map_err(not_taken_in(file.place))
}

fn load_tflite(file: &File, name: &str) -> Result<Graph, Error> {
    has_its_own(file)?;
    let model = tflite::parse_model(file.bytes).map_err(|error| broken(file.place, error))?;
    from_tflite(&model, name, file.interface).map_err(not_taken_in(file.place))
}

fn load_h5(file: &File, name: &str) -> Result<Graph, Error> {
    let found = keras::read_h5(file.bytes, LIMIT).map_err(|error| broken(file.place, error))?;
    let weights = match found {
        Hdf5Model::Model(model) => {
            has_its_own(file)?;
            return from_keras_with(&model, name, file.interface).map_err(not_taken_in(file.place));
        }
        Hdf5Model::Weights(weights) => weights,
    };
    let Some(architecture) = file.architecture else {
        return Err(Error::NoArchitecture { path: file.place.to_owned() });
    };
    let (path, bytes) = (&architecture.path, &architecture.bytes);
    if has_extension(path, "onnx") {
        let model = parse_onnx(path, bytes)?;
        let weights = weights.by_layer_name().map_err(|error| broken(file.place, error))?;
        from_onnx_with_weights(model, &weights, name, file.interface)
            .map_err(not_taken_in(file.place))
    } else if has_extension(path, "json") {
        let model = keras::read_architecture(bytes).map_err(|error| broken(path, error))?;
        let model = model.with_weights(weights).map_err(|error| broken(file.place, error))?;
        from_keras_with(&model, name, file.interface).map_err(not_taken_in(file.place))
    } else {
        Err(Error::Option {
            option: "architecture",
            problem: format!("must be a .json or an .onnx file, not `{}`", path.display()),
        })
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
        return Err(format!("`{}` is outside the folder of the model", path.display()));
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
        assert!(external(&folder, "../secret").unwrap_err().contains("is outside"));
        assert!(external(&folder, "absent").is_err());
        assert!(external(&folder, "weights").unwrap_err().contains("not a file"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.path().join("secret"), folder.join("link")).unwrap();
            assert!(external(&folder, "link").unwrap_err().contains("is outside"));
        }
    }
}
