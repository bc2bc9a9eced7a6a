//! Model files of other tools: how they are recognized, and what converts them to ONNX.
//!
//! The content decides where it tells, whatever the name; the name where the content tells nothing.

use crate::error::Error;
use std::path::Path;

/// A kind of model file that is not read.
struct Foreign {
    /// How its name ends, without the point.
    extensions: &'static [&'static str],
    /// Whether the content is of that kind.
    is_content: fn(&[u8]) -> bool,
    /// What it is.
    kind: &'static str,
    /// What converts it; `{file}` and `{name}` stand for its path and for that without extension.
    remedy: &'static str,
}

/// How a zip archive begins: files of several tools, and `.keras`, of which only the name tells.
pub(super) const ZIP: &[u8] = b"PK\x03\x04";

/// A folder that TensorFlow writes, by the file inside.
const SAVED_MODEL: &str = "saved_model.pb";

/// How to convert a folder of TensorFlow.
const OF_SAVED_MODEL: &str =
    "convert it with `python -m tf2onnx.convert --saved-model {file} --output {name}.onnx`";

/// How to convert a network in Python that is loaded as `net`.
macro_rules! torch_export {
    ($load:literal) => {
        concat!(
            "export the network in Python: ",
            $load,
            "; `torch.onnx.export(net.eval(), torch.zeros(1, CHANNELS, ROWS, COLUMNS), ",
            "\"{name}.onnx\", dynamo=False)`"
        )
    };
}

/// Every kind that is known; of several that fit by their content, the first.
const KINDS: [Foreign; 10] = [
    Foreign {
        extensions: &["pt2"],
        is_content: |bytes| is_archive_with(bytes, &["exported_program.json", "archive_format"]),
        kind: "a program of torch.export",
        remedy: torch_export!("`net = torch.export.load(\"{file}\").module()`"),
    },
    Foreign {
        extensions: &["torchscript", "ptl"],
        is_content: |bytes| is_archive_with(bytes, &["constants.pkl"]),
        kind: "a TorchScript file",
        remedy: torch_export!("`net = torch.jit.load(\"{file}\")`"),
    },
    Foreign {
        extensions: &["pt", "pth", "ckpt"],
        // Since PyTorch 1.6 an archive, before that a pickle of this number.
        is_content: |bytes| {
            is_archive_with(bytes, &["data.pkl"])
                || bytes.starts_with(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
        },
        kind: "a PyTorch file",
        remedy: torch_export!(
            "build the network as for the training; `net.load_state_dict(torch.load(\"{file}\"))`"
        ),
    },
    Foreign {
        extensions: &["safetensors"],
        is_content: is_safetensors,
        kind: "a file of weights (safetensors)",
        remedy: torch_export!(
            "build the network as for the training; \
             `net.load_state_dict(safetensors.torch.load_file(\"{file}\"))`"
        ),
    },
    Foreign {
        extensions: &["ort"],
        is_content: |bytes| has_identifier(bytes, *b"ORTM"),
        kind: "a model in the format of ONNX Runtime",
        remedy: "give the .onnx file that it was converted from",
    },
    Foreign {
        extensions: &["pte"],
        is_content: |bytes| has_identifier(bytes, *b"ET12"),
        kind: "an ExecuTorch file",
        remedy: torch_export!("build the network as for the training"),
    },
    Foreign {
        extensions: &["pb"],
        is_content: |_| false,
        kind: "a graph of TensorFlow",
        remedy: "convert it with `python -m tf2onnx.convert --graphdef {file} --inputs INPUT:0 \
                 --outputs OUTPUT:0 --output {name}.onnx`, with the names of its input and output",
    },
    Foreign {
        extensions: &["index", "meta", "data-00000-of-00001"],
        is_content: |_| false,
        kind: "a checkpoint of TensorFlow",
        remedy: "load it in Python and save the model as `{name}.keras` with `model.save`",
    },
    Foreign {
        extensions: &["mlmodel", "caffemodel", "prototxt", "pdmodel", "params", "msgpack", "pkl"],
        is_content: |_| false,
        kind: "a model of another tool",
        remedy: "export the network to ONNX with the tool that it was trained with",
    },
    Foreign {
        extensions: &["xml", "bin", "engine", "trt", "plan", "rknn", "hef", "nb"],
        is_content: |_| false,
        kind: "a model for one runtime",
        remedy: "give the ONNX or Keras file that it was converted from",
    },
];

/// Refuses what is of another tool by its content.
///
/// # Errors
/// [`Error::ForeignModel`] with what converts it.
pub(super) fn check_content(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    match KINDS.iter().find(|kind| (kind.is_content)(bytes)) {
        Some(kind) => Err(refusal(path, kind.kind.to_owned(), kind.remedy)),
        None => Ok(()),
    }
}

/// Why a file that no reader takes by its name is not read.
pub(super) fn by_name(path: &Path) -> Error {
    if path.file_name().is_some_and(|name| name == SAVED_MODEL) {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        return saved_model(folder.unwrap_or(Path::new(".")));
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.unwrap_or_default().to_ascii_lowercase();
    match KINDS.iter().find(|kind| kind.extensions.contains(&extension.as_str())) {
        Some(kind) => refusal(path, format!("{} by its name", kind.kind), kind.remedy),
        None => Error::ModelKind { path: path.to_owned() },
    }
}

/// Refuses a folder, which no model is that is read.
///
/// # Errors
/// Always one, if `path` is a folder.
pub(super) fn check_folder(path: &Path) -> Result<(), Error> {
    if !path.is_dir() {
        return Ok(());
    }
    Err(if path.join(SAVED_MODEL).is_file() {
        saved_model(path)
    } else {
        refusal(path, "a folder".to_owned(), "give the file of the model")
    })
}

fn saved_model(folder: &Path) -> Error {
    refusal(folder, "a SavedModel of TensorFlow".to_owned(), OF_SAVED_MODEL)
}

fn refusal(path: &Path, kind: String, remedy: &str) -> Error {
    // A folder may have a point in its name, and a slash behind it.
    let name = if path.is_dir() { path.components().collect() } else { path.with_extension("") };
    let text = |path: &Path| path.display().to_string();
    let remedy = remedy.replace("{file}", &text(path)).replace("{name}", &text(&name));
    Error::ForeignModel { path: path.to_owned(), kind, remedy }
}

/// Whether a zip archive has a member with one of these names, by the list at its end.
fn is_archive_with(bytes: &[u8], names: &[&str]) -> bool {
    const LIST_BYTES: usize = 1 << 20;
    let list = &bytes[bytes.len().saturating_sub(LIST_BYTES)..];
    let has = |name: &str| list.windows(name.len()).any(|window| window == name.as_bytes());
    bytes.starts_with(ZIP) && names.iter().any(|name| has(name))
}

/// Whether a `FlatBuffer` is of that kind.
fn has_identifier(bytes: &[u8], identifier: [u8; 4]) -> bool {
    bytes.get(4..8).is_some_and(|found| *found == identifier)
}

/// Whether a JSON object follows its length.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    rest.starts_with(b"{\"") && rest.len() >= length && length > 2 && rest[length - 1] != b','
}

#[cfg(test)]
mod tests {
    use super::super::Model;
    use std::{fs, path::Path};

    /// A zip archive of empty members: their names, and the list of them at its end.
    fn archive(names: &[&str]) -> Vec<u8> {
        let length = |name: &str| u16::try_from(name.len()).unwrap().to_le_bytes();
        let (mut bytes, mut list) = (Vec::new(), Vec::new());
        for name in names {
            let offset = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            bytes.extend([&b"PK\x03\x04\x0a\0\0\0"[..], &[0; 18], &length(name), &[0; 2]].concat());
            bytes.extend(name.as_bytes());
            list.extend([&b"PK\x01\x02\x0a\0\x0a\0"[..], &[0; 20], &length(name)].concat());
            list.extend([&[0; 12][..], &offset, name.as_bytes()].concat());
        }
        [bytes, list].concat()
    }

    fn refused(path: &Path) -> String {
        Model::load(path).unwrap_err().to_string()
    }

    #[test]
    fn files_of_other_tools_get_the_command_that_converts_them() {
        let folder = tempfile::tempdir().unwrap();
        let safetensors =
            [&26_u64.to_le_bytes()[..], b"{\"w\":{\"dtype\":\"F32\"}}   ", &[0; 8]].concat();
        let legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
        let script = archive(&["net/data.pkl", "net/code/a.py", "net/constants.pkl"]);
        for (name, bytes, expected) in [
            (
                "net.pt",
                archive(&["net/data.pkl", "net/version"]),
                "load_state_dict(torch.load(\"DIR/net.pt\"))",
            ),
            ("old.pth", legacy.clone(), "torch.onnx.export(net.eval()"),
            ("script.pt", script, "torch.jit.load(\"DIR/script.pt\")"),
            ("net.pt2", archive(&["models/model.json", "archive_format"]), "torch.export.load("),
            (
                "net.safetensors",
                safetensors,
                "safetensors.torch.load_file(\"DIR/net.safetensors\")",
            ),
            ("net.ort", b"\x1c\0\0\0ORTM....".to_vec(), "give the .onnx file"),
            // The content decides, whatever the name.
            ("torch.onnx", archive(&["a/data.pkl"]), "`DIR/torch.onnx` is a PyTorch file;"),
            ("torch", legacy, "is a PyTorch file;"),
            // The name, where the content tells nothing.
            ("weights.pt", b"weights".to_vec(), "is a PyTorch file by its name;"),
            ("frozen.pb", b"\x0a\x03abc".to_vec(), "--graphdef DIR/frozen.pb --inputs"),
            ("saved_model.pb", b"\x08\x01".to_vec(), "--saved-model DIR --output DIR.onnx"),
            ("net.caffemodel", b"x".to_vec(), "export the network to ONNX"),
            ("net.unknown", b"x".to_vec(), "is not a model file by its name"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let error = refused(&path).replace(&folder.path().display().to_string(), "DIR");
            assert!(error.contains(expected), "{name}: no {expected} in: {error}");
            for kind in [".onnx", ".h5", ".keras", ".tflite"] {
                assert!(error.contains(kind), "{name}: {error}");
            }
        }
        let inside = folder.path().join("saved.v2");
        fs::create_dir(&inside).unwrap();
        assert!(refused(&inside).contains("is a folder; "), "{}", refused(&inside));
        fs::write(inside.join("saved_model.pb"), b"\x08\x01").unwrap();
        let error = refused(&inside);
        let expected = format!("--saved-model {0} --output {0}.onnx", inside.display());
        assert!(error.contains(&expected), "{error}");
        // Bytes without a name tell as much.
        let error = Model::from_bytes("net", &archive(&["a/data.pkl"])).unwrap_err().to_string();
        assert!(error.contains("`net` is a PyTorch file"), "{error}");
    }
}
