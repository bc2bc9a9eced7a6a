//! `.npz`: `x`, `y`, or `x_train`, `y_train`, `x_test`, `y_test`; for a network with several inputs their names in
//! place of `x`.

use super::{
    arrays::assign,
    raw::{LIMIT_BYTES, Labels, Pixels, Raw, Values, Wanted, content},
    source::Split,
};
use crate::error::DataError;
use fixedwise_codec::npz::{ArrayData, Npz, NpzError};
use std::{fs::File, io::BufReader, path::Path};

/// What the array of labels is named.
const LABELS: &str = "y";

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

/// What the arrays of a split end with.
fn ending(split: Split) -> &'static str {
    match split {
        Split::Train => "_train",
        Split::Test => "_test",
        Split::All => "",
    }
}

/// The splits, by arrays named `x` or, where there are none, by those of other names.
pub(super) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    let file = open(path)?;
    let known = [Split::Train, Split::Test, Split::All];
    let mut found = known.to_vec();
    found.retain(|&split| file.contains(&format!("x{}", ending(split))));
    if found.is_empty() {
        found = known.to_vec();
        found.retain(|&split| !candidates(file.names(), split).is_empty());
    }
    if found.is_empty() {
        return Err(content(path, expected(file.names())));
    }
    Ok(found)
}

/// What a file contains, and what it should.
fn expected<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    format!(
        "contains {}; expected `x` and `y`, or `x_train`, `y_train`, `x_test`, `y_test`",
        if names.is_empty() { "no array".to_owned() } else { format!("`{}`", names.join("`, `")) }
    )
}

/// The arrays of a split beside its labels: their names in the file, and without the split.
fn candidates<'a>(names: impl Iterator<Item = &'a str>, split: Split) -> Vec<(&'a str, &'a str)> {
    let is_plain = |name: &str| !name.ends_with("_train") && !name.ends_with("_test");
    let of_split = |name: &'a str| match split {
        Split::All => is_plain(name).then_some((name, name)),
        _ => name.strip_suffix(ending(split)).map(|plain| (name, plain)),
    };
    names.filter_map(of_split).filter(|(_, plain)| *plain != LABELS).collect()
}

/// The arrays of a split that the inputs take, by their names in the file.
fn chosen(
    file: &Npz<BufReader<File>>,
    split: Split,
    wanted: &Wanted,
) -> Result<Vec<String>, String> {
    let x = format!("x{}", ending(split));
    if wanted.ports.len() == 1 && file.contains(&x) {
        return Ok(vec![x]);
    }
    let mut all = candidates(file.names(), split);
    // An input may have the name of the labels.
    let labels = format!("{LABELS}{}", ending(split));
    let labels = file.names().find(|name| *name == labels);
    let is_input = wanted.ports.iter().any(|port| port.name == LABELS);
    all.extend(labels.filter(|_| is_input).map(|name| (name, LABELS)));
    let plain: Vec<&str> = all.iter().map(|(_, plain)| *plain).collect();
    match assign(&plain, wanted.ports, wanted.unused) {
        Ok(found) => Ok(found.into_iter().map(|i| all[i].0.to_owned()).collect()),
        Err(_) if wanted.ports.len() == 1 => {
            let input = &wanted.ports[0].name;
            Err(format!(
                "{}, or an array with the name of the input, `{input}`",
                expected(file.names())
            ))
        }
        Err(problem) => Err(problem),
    }
}

pub(super) fn load(path: &Path, split: Split, wanted: &Wanted) -> Result<Vec<Raw>, DataError> {
    let wrong = |problem: &str| content(path, problem);
    let mut file = open(path)?;
    let chosen = chosen(&file, split, wanted).map_err(|problem| content(path, problem))?;
    let mut raws = Vec::with_capacity(chosen.len());
    for name in &chosen {
        // The numbers of images and labels are compared as long as all are read.
        let x = file.read_first(name, wanted.first).map_err(|e| corrupt(path, e))?;
        let pixels = match x.data {
            ArrayData::U8(x) => Pixels::from(x),
            ArrayData::F32(x) => Pixels::from(x),
            ArrayData::I64(x) => {
                let narrow: Option<Vec<u8>> = x.iter().map(|&x| u8::try_from(x).ok()).collect();
                Pixels::from(narrow.ok_or_else(|| wrong("has integer pixels outside 0 to 255"))?)
            }
        };
        raws.push(Raw::new(x.shape, pixels));
    }
    let name = format!("{LABELS}{}", ending(split));
    if file.contains(&name) && !chosen.contains(&name) {
        let y = file.read_first(&name, wanted.first).map_err(|e| corrupt(path, e))?;
        let dims = if y.shape.is_empty() { vec![1] } else { y.shape };
        let values = match y.data {
            ArrayData::U8(y) => Values::U8(y),
            ArrayData::I64(y) => Values::I64(y),
            ArrayData::F32(y) => Values::F32(y),
        };
        let first = raws.remove(0).with_labels(Labels { dims, values });
        raws.insert(0, first);
    }
    Ok(raws)
}
