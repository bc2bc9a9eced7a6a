//! A folder of images: one folder a class, sorted by name; above them `train` and `test` (or `val`)
//! where the images are divided. Images without any folder around them have no labels.

use super::{
    images,
    raw::{Raw, Wanted, content},
    source::Split,
};
use crate::error::DataError;
use std::{
    fs,
    path::{Path, PathBuf},
};

const SPLITS: [(&str, Split); 5] = [
    ("train", Split::Train),
    ("test", Split::Test),
    ("val", Split::Test),
    ("valid", Split::Test),
    ("validation", Split::Test),
];

/// What a folder holds, sorted by name; hidden files are left out, and files of other kinds.
#[derive(Default)]
struct Content {
    folders: Vec<PathBuf>,
    images: Vec<PathBuf>,
}

fn look(folder: &Path) -> Result<Content, DataError> {
    let cannot_read = |source| DataError::Read { path: folder.to_owned(), source };
    let mut found = Content::default();
    for entry in fs::read_dir(folder).map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        if name(&path).starts_with('.') {
        } else if path.is_dir() {
            found.folders.push(path);
        } else if images::is_image(&path)? {
            found.images.push(path);
        }
    }
    found.folders.sort();
    found.images.sort();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The folders of the splits, where every folder is named as one.
fn divided(content: &Content) -> Vec<(Split, PathBuf)> {
    let rank = |path: &Path| SPLITS.iter().position(|(known, _)| *known == name(path));
    let mut ranked: Vec<(usize, &PathBuf)> = Vec::new();
    for folder in &content.folders {
        match rank(folder) {
            Some(rank) => ranked.push((rank, folder)),
            None => return Vec::new(),
        }
    }
    ranked.sort();
    let mut found: Vec<(Split, PathBuf)> = Vec::new();
    for (rank, folder) in ranked {
        // Of `test` and `val` the former is what is tested on.
        if found.iter().all(|(split, _)| *split != SPLITS[rank].1) {
            found.push((SPLITS[rank].1, folder.clone()));
        }
    }
    found
}

pub(super) fn is_for(path: &Path) -> bool {
    path.is_dir()
        && look(path).map_or(true, |found| !found.folders.is_empty() || !found.images.is_empty())
}

pub(super) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    let divided = divided(&look(path)?);
    let found: Vec<Split> = divided.into_iter().map(|(split, _)| split).collect();
    Ok(if found.is_empty() { vec![Split::All] } else { found })
}

pub(super) fn load(path: &Path, split: Split, wanted: &Wanted) -> Result<Raw, DataError> {
    let top = look(path)?;
    let parts = divided(&top);
    let part = parts.iter().find(|(s, _)| *s == split);
    let (folder, found) = match part {
        Some((_, folder)) => (folder.as_path(), look(folder)?),
        None => (path, top),
    };
    if found.folders.is_empty() {
        return images::load(path, found.images, None, wanted);
    }
    if let Some(image) = found.images.first() {
        return Err(content(image, "is beside the class folders; move it into one of them"));
    }
    let names = check_names(folder, &found.folders, wanted.classes)?;
    for (_, other) in &parts {
        let others: Vec<String> = look(other)?.folders.iter().map(|path| name(path)).collect();
        if !others.is_empty() && others != names {
            return Err(content(other, "has other classes than the folder beside it"));
        }
    }
    let mut classes = Vec::with_capacity(names.len());
    for class in &found.folders {
        let inside = look(class)?;
        if let Some(deeper) = inside.folders.first() {
            return Err(content(deeper, "is a folder inside a class folder"));
        }
        if inside.images.is_empty() {
            return Err(content(class, "is a class folder without a PNG or JPEG image"));
        }
        classes.push(inside.images);
    }
    let (files, labels) = in_turn(&classes);
    let raw = images::load(path, files, Some(labels), wanted)?;
    Ok(Raw { class_names: names, ..raw })
}

/// The names of the classes; they must be all that the network tells apart, in a sure order.
fn check_names(
    folder: &Path,
    folders: &[PathBuf],
    classes: usize,
) -> Result<Vec<String>, DataError> {
    let names: Vec<String> = folders.iter().map(|path| name(path)).collect();
    if names.len() != classes {
        return Err(content(
            folder,
            format!(
                "contains {} folders, but the network has {classes} classes; use one folder per \
                 class, or a .csv with `path,label`",
                names.len()
            ),
        ));
    }
    let numbers: Option<Vec<u64>> = names.iter().map(|name| name.parse().ok()).collect();
    if numbers.is_some_and(|numbers| !numbers.is_sorted()) {
        return Err(content(
            folder,
            "contains folders whose alphabetical order differs from their numerical order (10 \
             comes before 2); write 02, or use a .csv with `path,label`",
        ));
    }
    Ok(names)
}

/// One image of each class in turn, so that the first ones stand for all.
fn in_turn(classes: &[Vec<PathBuf>]) -> (Vec<PathBuf>, Vec<i64>) {
    let most = classes.iter().map(Vec::len).max().unwrap_or(0);
    let turn = |i: usize| (0_i64..).zip(classes).filter_map(move |(k, c)| Some((c.get(i)?, k)));
    (0..most).flat_map(turn).map(|(path, class)| (path.clone(), class)).unzip()
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Dataset;
    use super::*;
    use crate::preprocess::Preprocess;
    use fixedwise_graph::Shape;

    const RGB: &[u8] = include_bytes!("../../../../suite/data/rgb.png");
    const GRAY: &[u8] = include_bytes!("../../../../suite/data/gray.png");
    const LARGE: &[u8] = include_bytes!("../../../../suite/data/random.png");

    type Files<'a> = &'a [(&'a str, &'a [u8])];

    fn tree(files: Files) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            let is_folder = name.ends_with('/');
            fs::create_dir_all(if is_folder { &path } else { path.parent().unwrap() }).unwrap();
            if !is_folder {
                fs::write(path, bytes).unwrap();
            }
        }
        folder
    }

    fn load(path: &Path, split: Split, preprocess: &str) -> Result<Dataset, String> {
        let preprocess: Preprocess = preprocess.parse().unwrap();
        let target = Shape::new(5, 4, 3);
        super::super::loaders::splits(path)
            .and_then(|_| Dataset::read(path, split, usize::MAX, &preprocess, target, 2))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn classes_take_turns() {
        let files = ["train/cat/2.png", "train/cat/1.png", "train/cat/3.png", "train/ant/9.png"];
        let mut files: Vec<(&str, &[u8])> = files.map(|name| (name, RGB)).to_vec();
        files.extend([("val/ant/a.PNG", GRAY), ("val/cat/a.png", RGB), ("val/cat/notes.txt", b"")]);
        files.push(("val/.hidden/x.png", b""));
        let folder = tree(&files);
        assert_eq!(
            super::super::loaders::splits(folder.path()).unwrap(),
            [Split::Train, Split::Test]
        );
        let train = load(folder.path(), Split::Train, "").unwrap();
        let labels: Vec<Option<usize>> = (0..train.len()).map(|i| train.label(i)).collect();
        assert_eq!(labels, [Some(0), Some(1), Some(1), Some(1)]);
        assert_eq!(train.class_names(), ["ant", "cat"]);
        let test = load(folder.path(), Split::Test, "").unwrap();
        assert_eq!((test.len(), test.is_u8()), (2, vec![true]));
        let mut pixels = vec![0.0; 60];
        test.image(0, &mut pixels);
        // Gray becomes three equal channels.
        assert_eq!(pixels[..6], [0.0, 0.0, 0.0, 3.0, 3.0, 3.0]);
        test.image(1, &mut pixels);
        assert_eq!(pixels[..4], [0.0, 83.0, 166.0, 3.0]);
        // One class by itself is a folder of images without labels.
        let flat = load(&folder.path().join("train/cat"), Split::All, "").unwrap();
        assert_eq!((flat.len(), flat.label(0)), (3, None));
    }

    #[test]
    fn images_of_different_sizes_are_resized_where_that_is_declared() {
        let folder = tree(&[("a/1.png", RGB), ("b/1.png", LARGE), ("b/2.png", RGB)]);
        let error = load(folder.path(), Split::All, "").unwrap_err();
        assert!(error.contains("images of different sizes: `") && error.contains("resize="));
        let data = load(folder.path(), Split::All, "resize=5x4").unwrap();
        let mut images = [vec![0.0; 60], vec![0.0; 60], vec![0.0; 60]];
        for (i, image) in images.iter_mut().enumerate() {
            data.image(i, image);
        }
        assert_eq!((data.len(), data.label(1)), (3, Some(1)));
        assert_eq!(images[0], images[2]);
        assert_ne!(images[0], images[1]);
        assert_eq!(data.fingerprint(0), data.fingerprint(2));
    }

    #[test]
    fn unclear_folders_are_refused() {
        let numbers = [("10/1.png", RGB), ("2/1.png", RGB)];
        let cases: [(Files, &str); 9] = [
            (&[("a/1.png", RGB), ("b/", b"")], "b` is a class folder without a PNG"),
            (&[("a/1.png", RGB), ("b/1.png", b"junk")], "1.png`"),
            (&[("a/1.png", RGB)], "contains 1 folders, but the network has 2 classes"),
            (&[("a/1.png", RGB), ("b/1.png", RGB), ("3.png", RGB)], "3.png` is beside"),
            (&[("a/1.png", RGB), ("b/c/1.png", RGB)], "c` is a folder inside"),
            (&[("a/1.png", RGB), ("b/1.bmp", b"BM")], "1.bmp` is neither PNG nor JPEG"),
            (&numbers, "(10 comes before 2)"),
            (&[("a/.keep", b""), ("b/.keep", b"")], "a` is a class folder"),
            (&[("notes.txt", b"")], "not a supported data set"),
        ];
        for (files, expected) in cases {
            let folder = tree(files);
            let error = load(folder.path(), Split::All, "").unwrap_err();
            assert!(error.contains(expected), "expected {expected}, got {error}");
        }
        let folder = tree(&[
            ("train/a/1.png", RGB),
            ("train/b/1.png", RGB),
            ("test/a/1.png", RGB),
            ("test/c/1.png", RGB),
        ]);
        let error = load(folder.path(), Split::Train, "").unwrap_err();
        assert!(error.contains("test` has other classes"), "{error}");
    }
}
