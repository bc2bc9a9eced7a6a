//! Which file type is read by whom: one file each, and one row here.

use super::{
    arrays, cifar,
    dataset::Port,
    folder, idx, list, npz,
    raw::{Raw, Wanted, content},
    source::{DataOrigin, Split},
    svhn,
};
use crate::error::DataError;
use std::path::Path;

/// Reads one file type.
struct Loader {
    /// Whether a path is of that type, by its name and content.
    is_for: fn(&Path) -> bool,
    /// The splits it holds.
    splits: fn(&Path) -> Result<Vec<Split>, DataError>,
    /// One of them.
    load: Load,
    /// For messages.
    name: &'static str,
}

/// Reads a split.
enum Load {
    /// Of images, for the only input of a network.
    Images(fn(&Path, Split, &Wanted) -> Result<Raw, DataError>),
    /// Of one array for each input.
    Inputs(fn(&Path, Split, &Wanted) -> Result<Vec<Raw>, DataError>),
}

/// Every file type, the first that fits is taken.
const LOADERS: &[Loader] = &[
    Loader {
        is_for: npz::is_for,
        splits: npz::splits,
        load: Load::Inputs(npz::load),
        name: "`.npz`",
    },
    Loader {
        is_for: idx::is_for,
        splits: idx::splits,
        load: Load::Images(idx::load),
        name: "a folder of IDX files (`train-images-idx3-ubyte.gz`, ...) or one such file",
    },
    Loader {
        is_for: cifar::is_for,
        splits: cifar::splits,
        load: Load::Images(cifar::load),
        name: "a folder of CIFAR batches (`data_batch_1`, `data_batch_1.bin`, ...) or one of them",
    },
    Loader {
        is_for: svhn::is_for,
        splits: svhn::splits,
        load: Load::Images(svhn::load),
        name: "a folder of SVHN files (`train_32x32.mat`, ...) or a `.mat` with `X` and `y`",
    },
    Loader {
        is_for: list::is_for,
        splits: list::splits,
        load: Load::Images(list::load),
        name: "a `.csv` with `path,label`",
    },
    Loader {
        is_for: folder::is_for,
        splits: folder::splits,
        load: Load::Images(folder::load),
        name: "a folder of PNG and JPEG images, one folder per class",
    },
];

/// Endings of archives that data sets are published in.
const ARCHIVES: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".zip"];

/// Who reads a path.
fn loader(path: &Path) -> Result<&'static Loader, DataError> {
    std::fs::metadata(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if path.is_file() && ARCHIVES.iter().any(|ending| name.ends_with(ending)) {
        return Err(content(path, "is an archive; unpack it and give the folder"));
    }
    LOADERS.iter().find(|loader| (loader.is_for)(path)).ok_or_else(|| DataError::Kind {
        path: path.to_owned(),
        known: LOADERS.iter().map(|loader| loader.name).collect::<Vec<_>>().join("; "),
    })
}

/// The splits a path holds.
pub(super) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    (loader(path)?.splits)(path)
}

impl DataOrigin {
    /// The splits it holds.
    pub(crate) fn splits(&self) -> Result<Vec<Split>, DataError> {
        match self {
            Self::Path(path) => splits(path),
            Self::Arrays(_) => Ok(vec![Split::All]),
        }
    }

    /// One of them: the images of each input, the labels with the first.
    pub(super) fn load(&self, split: Split, wanted: &Wanted) -> Result<Vec<Raw>, DataError> {
        match self {
            Self::Path(path) => match (&loader(path)?.load, wanted.ports) {
                (Load::Inputs(load), _) => load(path, split, wanted),
                (Load::Images(load), [_]) => Ok(vec![load(path, split, wanted)?]),
                (Load::Images(_), ports) => Err(content(path, several(ports))),
            },
            Self::Arrays(arrays) => arrays::raw(arrays, wanted.ports),
        }
    }
}

/// Why images alone are not enough.
fn several(ports: &[Port]) -> String {
    let names: Vec<String> = ports.iter().map(|port| format!("`{}`", port.name)).collect();
    let names = names.join(", ");
    format!(
        "contains images for one input; the network has the inputs {names}: give an `.npz` file with an \
         array for each, under its name"
    )
}
