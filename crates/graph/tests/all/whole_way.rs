//! The seeds of the fuzzer go the whole way: from bytes through import, passes and lowering to integers.

#[path = "../../../../fuzz/src/whole_way.rs"]
#[expect(unreachable_pub, reason = "a crate of its own to the fuzzer")]
pub(crate) mod way;

use fixedwise_testing::project;
use std::{collections::BTreeMap, io::Read, path::PathBuf};
use way::{Reached, whole_way};

/// Files of a folder, by name.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(project(folder)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_was_found_on_the_whole_way_stays_fixed() {
    for folder in ["onnx_model", "tflite", "whole_way"] {
        for path in files(&format!("fuzz/seeds/{folder}")) {
            println!("{}", path.display());
            whole_way(&std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn a_network_of_every_operator_reaches_integers() {
    let archive = std::fs::File::open(project("suite/onnx-node.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().to_string()).collect();
    let mut counts = BTreeMap::new();
    let mut refused = Vec::new();
    for name in names.iter().filter(|name| name.ends_with("/model.onnx")) {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        if bytes.len() > 1 << 15 {
            continue;
        }
        let reached = whole_way(&bytes);
        *counts.entry(reached).or_insert(0) += 1;
        if reached < Reached::Integers {
            refused.push(format!("{name}: {reached:?}"));
        }
    }
    assert!(counts[&Reached::Integers] >= 340, "{counts:?}, {refused:#?}");
}
