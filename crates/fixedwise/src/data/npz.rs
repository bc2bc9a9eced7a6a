//! `.npz`: `x`, `y`, or `x_train`, `y_train`, `x_test`, `y_test`.

use super::{
    raw::{LIMIT_BYTES, Pixels, Raw, Targets, Values, Wanted},
    source::Split,
};
use crate::error::DataError;
use fixedwise_codec::npz::{ArrayData, Npz, NpzError};
use std::{fs::File, io::BufReader, path::Path};

pub(super) fn is_for(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

/// The file, of which only the list of its arrays has been read.
fn open(path: &Path) -> Result<Npz<BufReader<File>>, DataError> {
    let cannot_read = |source| DataError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(cannot_read)?;
    let bytes = file.metadata().map_err(cannot_read)?.len();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    Npz::from_reader(BufReader::new(file), bytes, LIMIT_BYTES).map_err(|e| corrupt(path, e))
}

fn corrupt(path: &Path, source: NpzError) -> DataError {
    DataError::Corrupt { path: path.to_owned(), source: source.into() }
}

fn images(split: Split) -> &'static str {
    match split {
        Split::Train => "x_train",
        Split::Test => "x_test",
        Split::All => "x",
    }
}

pub(super) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    let file = open(path)?;
    let known = [Split::Train, Split::Test, Split::All];
    let found: Vec<Split> =
        known.into_iter().filter(|&split| file.contains(images(split))).collect();
    if found.is_empty() {
        let names: Vec<&str> = file.names().collect();
        return Err(DataError::Content {
            path: path.to_owned(),
            problem: format!(
                "contains {}; expected `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`",
                if names.is_empty() {
                    "no array".to_owned()
                } else {
                    format!("`{}`", names.join("`, `"))
                }
            ),
        });
    }
    Ok(found)
}

pub(super) fn load(path: &Path, split: Split, wanted: &Wanted) -> Result<Raw, DataError> {
    let wrong = |problem: &str| super::raw::content(path, problem);
    let mut file = open(path)?;
    // The numbers of images and labels are compared as long as all are read.
    let x = file.read_first(images(split), wanted.first).map_err(|e| corrupt(path, e))?;
    let pixels = match x.data {
        ArrayData::U8(x) => Pixels::U8(x),
        ArrayData::F32(x) => Pixels::F32(x),
        ArrayData::I64(x) => {
            let narrow: Option<Vec<u8>> = x.iter().map(|&x| u8::try_from(x).ok()).collect();
            Pixels::U8(narrow.ok_or_else(|| wrong("has integer pixels outside 0 to 255"))?)
        }
    };
    let name = images(split).replacen('x', "y", 1);
    let raw = Raw::new(x.shape, pixels);
    if !file.contains(&name) {
        return Ok(raw);
    }
    let y = file.read_first(&name, wanted.first).map_err(|e| corrupt(path, e))?;
    let dims = if y.shape.is_empty() { vec![1] } else { y.shape };
    // One column is as good as a vector.
    let is_column = dims.iter().skip(1).all(|&extent| extent == 1);
    let values = match y.data {
        ArrayData::U8(y) => Values::U8(y),
        ArrayData::I64(y) => Values::I64(y),
        ArrayData::F32(y) => Values::F32(y),
    };
    Ok(match values {
        Values::U8(_) | Values::I64(_) if is_column => {
            Raw { labels: Some(values.integers().collect()), ..raw }
        }
        values => Raw { targets: Some(Targets { dims, values }), ..raw },
    })
}
