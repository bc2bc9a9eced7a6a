//! `.npz`: `x`, `y`, or `x_train`, `y_train`, `x_test`, `y_test`.

use super::{DataError, LIMIT_BYTES, Pixels, Raw, Split};
use fixedwise_codec::npz::{ArrayData, Npz};
use std::path::Path;

pub(super) fn is_for(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

fn corrupt(path: &Path, source: fixedwise_codec::npz::NpzError) -> DataError {
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
    let bytes = read(path)?;
    let file = Npz::open(&bytes, LIMIT_BYTES).map_err(|e| corrupt(path, e))?;
    let known = [Split::Train, Split::Test, Split::All];
    let found: Vec<Split> =
        known.into_iter().filter(|&split| file.contains(images(split))).collect();
    if found.is_empty() {
        let names: Vec<&str> = file.names().collect();
        return Err(DataError::Content {
            path: path.to_owned(),
            problem: format!(
                "holds {}; expected `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`",
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

pub(super) fn load(path: &Path, split: Split) -> Result<Raw, DataError> {
    let wrong =
        |problem: &str| DataError::Content { path: path.to_owned(), problem: problem.to_owned() };
    let bytes = read(path)?;
    let mut file = Npz::open(&bytes, LIMIT_BYTES).map_err(|e| corrupt(path, e))?;
    let x = file.read(images(split)).map_err(|e| corrupt(path, e))?;
    let pixels = match x.data {
        ArrayData::U8(x) => Pixels::U8(x),
        ArrayData::F32(x) => Pixels::F32(x),
        ArrayData::I64(x) => {
            let narrow: Option<Vec<u8>> = x.iter().map(|&x| u8::try_from(x).ok()).collect();
            Pixels::U8(narrow.ok_or_else(|| wrong("has integer pixels outside 0 to 255"))?)
        }
    };
    let name = images(split).replacen('x', "y", 1);
    let labels = if file.contains(&name) {
        let y = file.read(&name).map_err(|e| corrupt(path, e))?;
        // One column is as good as a vector.
        if y.shape.iter().skip(1).any(|&extent| extent != 1) {
            return Err(wrong(
                "has labels of several columns; one class number an image is needed",
            ));
        }
        Some(match y.data {
            ArrayData::U8(y) => y.iter().map(|&y| i64::from(y)).collect(),
            ArrayData::I64(y) => y,
            ArrayData::F32(_) => return Err(wrong("has labels that are not integers")),
        })
    } else {
        None
    };
    Ok(Raw { dims: x.shape, pixels, labels })
}
