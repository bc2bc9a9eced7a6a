//! A `.csv` of images and labels: `path,label`, paths relative to the file, labels as class numbers
//! or as names, which are numbered in their sorted order.

use super::{
    images,
    raw::{Raw, Wanted, content, read},
    source::Split,
};
use crate::error::DataError;
use fixedwise_codec::list::{self, Entry};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub(super) fn is_for(path: &Path) -> bool {
    path.is_file()
        && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

#[expect(clippy::unnecessary_wraps, reason = "as every loader")]
pub(super) fn splits(_: &Path) -> Result<Vec<Split>, DataError> {
    Ok(vec![Split::All])
}

pub(super) fn load(path: &Path, _: Split, wanted: &Wanted) -> Result<Raw, DataError> {
    let entries = list::read(&read(path)?)
        .map_err(|source| DataError::Corrupt { path: path.to_owned(), source: source.into() })?;
    let (labels, class_names) = labels(path, &entries, wanted.classes)?.unzip();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files: Vec<PathBuf> = Vec::with_capacity(entries.len());
    for entry in entries.iter().take(wanted.first) {
        let file = folder.join(&entry.path);
        if !file.is_file() {
            let problem =
                format!("lists `{}` in line {}, which is not a file", entry.path, entry.line);
            return Err(content(path, problem));
        }
        images::is_image(&file)?;
        files.push(file);
    }
    let raw = images::load(path, files, labels, wanted)?;
    Ok(Raw { class_names: class_names.unwrap_or_default(), ..raw })
}

/// The class of every entry, and what the classes are called where they have names.
type Labels = (Vec<i64>, Vec<String>);

/// The class of every entry, or nothing where the list has no labels.
fn labels(path: &Path, entries: &[Entry], classes: usize) -> Result<Option<Labels>, DataError> {
    let texts: Option<Vec<&str>> = entries.iter().map(|entry| entry.label.as_deref()).collect();
    let Some(texts) = texts else { return Ok(None) };
    let numbers: Vec<Option<i64>> = texts.iter().map(|text| text.parse().ok()).collect();
    if let Some(numbers) = numbers.iter().copied().collect::<Option<Vec<i64>>>() {
        let is_class = |&label: &i64| usize::try_from(label).is_ok_and(|label| label < classes);
        if let Some(at) = numbers.iter().position(|label| !is_class(label)) {
            return Err(content(
                path,
                format!(
                    "gives `{}` the label {} in line {}; the network has {classes} classes, 0 to {}",
                    entries[at].path,
                    numbers[at],
                    entries[at].line,
                    classes.saturating_sub(1)
                ),
            ));
        }
        return Ok(Some((numbers, Vec::new())));
    }
    if let (Some(_), Some(name)) =
        (numbers.iter().find(|x| x.is_some()), numbers.iter().position(Option::is_none))
    {
        let problem = format!(
            "has the label `{}` in line {} and numbers in other lines; use numbers everywhere",
            texts[name], entries[name].line
        );
        return Err(content(path, problem));
    }
    let names: BTreeSet<&str> = texts.iter().copied().collect();
    if names.len() != classes {
        return Err(content(
            path,
            format!(
                "has {} class names, but the network has {classes} classes; use class numbers from \
                 0",
                names.len()
            ),
        ));
    }
    let class = |text: &&str| (0_i64..).zip(&names).find(|(_, name)| *name == text).map(|(k, _)| k);
    let labels: Option<Vec<i64>> = texts.iter().map(class).collect();
    Ok(labels.map(|labels| (labels, names.iter().map(|&name| name.to_owned()).collect())))
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Dataset;
    use super::*;
    use crate::preprocess::Preprocess;
    use fixedwise_graph::Shape;
    use std::fs;

    const RGB: &[u8] = include_bytes!("../../../../suite/data/rgb.png");

    fn load(text: &str) -> Result<Dataset, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("images")).unwrap();
        for name in ["images/a.png", "images/b.png", "c d.png"] {
            fs::write(folder.path().join(name), RGB).unwrap();
        }
        fs::write(folder.path().join("broken.png"), b"junk").unwrap();
        let path = folder.path().join("list.csv");
        fs::write(&path, text).unwrap();
        let preprocess = Preprocess::default();
        let all = usize::MAX;
        super::super::loaders::splits(&path)
            .and_then(|_| {
                Dataset::read(&path, Split::All, all, &preprocess, Shape::new(5, 4, 3), 2)
            })
            .map_err(|e| {
                let cause = std::error::Error::source(&e).map(|e| format!(": {e}"));
                format!("{e}{}", cause.unwrap_or_default())
            })
    }

    #[test]
    fn labels_are_numbers_or_names() {
        for text in [
            "images/a.png,1\nc d.png,0\nimages/b.png,1\n",
            "path,label\r\nimages/a.png,dog\r\nc d.png,cat\r\nimages/b.png,dog",
            "class,file\n1,images/a.png\n0,\"c d.png\"\n1,images/b.png",
        ] {
            let data = load(text).unwrap();
            let labels: Vec<Option<usize>> = (0..data.len()).map(|i| data.label(i)).collect();
            assert_eq!(labels, [Some(1), Some(0), Some(1)], "{text}");
            let names: &[&str] = if text.contains("dog") { &["cat", "dog"] } else { &[] };
            assert_eq!(data.class_names(), names, "{text}");
        }
        assert_eq!(load("images/a.png\n").unwrap().label(0), None);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, expected) in [
            ("", "contains no image"),
            ("path,label\n", "contains no image"),
            (
                "images/a.png,0\nimages/z.png,1\n",
                "lists `images/z.png` in line 2, which is not a file",
            ),
            ("images/a.png,0\nimages/b.png,2\n", "`images/b.png` the label 2 in line 2"),
            ("images/a.png,0\nimages/b.png,-1\n", "the label -1 in line 2"),
            (
                "images/a.png,0\nimages/b.png,cat\n",
                "the label `cat` in line 2 and numbers in other lines",
            ),
            ("images/a.png,cat\n", "has 1 class names, but the network has 2"),
            ("images/a.png,0,7\n", "line 1: 3 fields"),
            ("images/a.png,0\nbroken.png,1\n", "broken.png`: not a readable PNG or JPEG"),
            ("list.csv,0\n", "list.csv`"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: expected {expected}, got {error}");
        }
    }
}
