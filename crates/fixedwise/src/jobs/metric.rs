//! What a command of the user's says of a network's outputs.

use crate::{data::View, error::Error};
use fixedwise_codec::npz::{Array, ArrayData, encode_npy};
use fixedwise_fixed::convert::count_to_i64;
use fixedwise_graph::{Graph, Output, Shape};
use std::{fs, path::PathBuf, process::Command};

/// A command that is given outputs and prints a number, greater for better ones.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    command: String,
    /// The outputs of the network, and their extents inside.
    outputs: Vec<(Output, Shape)>,
    /// Which images the outputs are of, by their places in the data set.
    images: Vec<usize>,
    /// Where the data set is.
    data: PathBuf,
}

/// The variable by which a command is told where the data set is.
const DATA: &str = "FIXEDWISE_DATA";

impl Metric {
    pub(crate) fn new(command: &str, graph: &Graph, images: &View) -> Self {
        let (places, data) = (images.places().to_vec(), images.place().to_owned());
        Self::of_places(command, graph, places, data)
    }

    fn of_places(command: &str, graph: &Graph, images: Vec<usize>, data: PathBuf) -> Self {
        let outputs = graph.outputs().iter();
        let outputs = outputs.map(|output| (output.clone(), graph.nodes[output.node].shape));
        Self { command: command.to_owned(), outputs: outputs.collect(), images, data }
    }

    /// Runs the command on the outputs of all images, each `[image, h, w, c]`. The command is handed a file for
    /// each, in the order and with the axes of the model's file, and one of the places of the images.
    ///
    /// # Errors
    /// [`Error::Metric`] where it fails or prints no number, [`Error::Io`] where there is no place for the
    /// outputs.
    pub(crate) fn of(&self, values: &[Vec<f32>]) -> Result<f64, Error> {
        let refuse = |problem| Error::Metric { command: self.command.clone(), problem };
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for (i, ((output, shape), values)) in self.outputs.iter().zip(values).enumerate() {
            let data = ArrayData::F32(output.in_order_of_file(*shape, values));
            let shape = [&[self.images.len()], &output.extents(*shape)[..]].concat();
            files.push((format!("predictions_{i}.npy"), encode_npy(&Array { shape, data })));
        }
        let indices: Vec<i64> = self.images.iter().copied().map(count_to_i64).collect();
        let shape = vec![indices.len()];
        let indices = encode_npy(&Array { shape, data: ArrayData::I64(indices) });
        files.push(("images.npy".to_owned(), indices));
        let folder = tempfile::tempdir().map_err(|source| Error::Io {
            action: "create a folder for outputs in",
            path: std::env::temp_dir(),
            source,
        })?;
        let mut paths = Vec::with_capacity(files.len());
        for (name, bytes) in files {
            let path = folder.path().join(name);
            let failed = |source| Error::Io { action: "write", path: path.clone(), source };
            fs::write(&path, bytes).map_err(failed)?;
            paths.push(path);
        }
        let mut shell = if cfg!(windows) {
            let mut shell = Command::new("cmd");
            shell.arg("/C").arg(&self.command);
            shell
        } else {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{} \"$@\"", self.command)).arg("metric");
            shell
        };
        let done = shell.args(&paths).env(DATA, &self.data).output();
        let done = done.map_err(|error| refuse(format!("cannot be run: {error}")))?;
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        if !done.status.success() {
            let said = if said.is_empty() { String::new() } else { format!(": {said}") };
            return Err(refuse(format!("failed ({}){said}", done.status)));
        }
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        match line.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(refuse(format!(
                "printed {} instead of a number",
                if line.is_empty() { "nothing".to_owned() } else { format!("`{}`", line.trim()) }
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_graph::{Node, ops::Input};

    fn metric(command: &str) -> Result<f64, Error> {
        let input = Node::new("x", Input { shape: Shape::vector(2) }, vec![], Shape::vector(2));
        let graph = Graph::new("test", vec![input], 0);
        Metric::of_places(command, &graph, vec![7, 9, 11], "a/b.npz".into()).of(&[vec![0.5; 6]])
    }

    #[test]
    #[cfg(unix)]
    fn the_last_line_is_the_number() {
        let value = metric("echo reading; echo 0.25 #").unwrap();
        assert!((value - 0.25).abs() < 1e-12, "{value}");
        // Header, then three images of two floats; indices of eight bytes.
        assert_eq!(
            metric("cat").map_err(|error| error.to_string().contains("instead of a number")),
            Err(true)
        );
        let bytes = "f() { tail -c 24 \"$2\" | od -An -t d8 -v | head -1; }; f";
        let error = metric(bytes).unwrap_err().to_string();
        assert!(error.contains('7') && error.contains('9'), "{error}");
        let error = metric("echo no $FIXEDWISE_DATA number #").unwrap_err().to_string();
        assert!(error.contains("no a/b.npz number"), "{error}");
        let error = metric("echo no such model >&2; exit 3 #").unwrap_err().to_string();
        assert!(error.contains("failed") && error.contains("no such model"), "{error}");
        assert!(metric("true #").unwrap_err().to_string().contains("printed nothing"));
    }
}
