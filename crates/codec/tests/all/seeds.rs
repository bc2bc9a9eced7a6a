//! What the fuzzer found, and files that lead it into different parts of the readers: `fuzz/seeds`.

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a crate of its own to the fuzzer")]
mod properties;

use std::path::Path;

type Reader = fn(&[u8]);

#[test]
fn what_was_found_stays_fixed() {
    let readers: [(&str, Reader); 9] = [
        ("onnx_model", properties::onnx_model),
        ("npz", properties::npz),
        ("idx", properties::idx),
        ("cifar", properties::cifar),
        ("mat", properties::mat),
        ("image", properties::image),
        ("list", properties::list),
        ("keras", properties::keras),
        ("tflite", properties::tflite),
    ];
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (name, read) in readers {
        let files: Vec<_> = std::fs::read_dir(seeds.join(name)).unwrap().collect();
        assert!(files.len() >= 4, "{name} has seeds");
        for file in files {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            println!("{}", path.display());
            read(&bytes);
        }
    }
}
