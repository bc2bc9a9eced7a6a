//! `cargo xtask paper`: the experiments of arXiv 2102.02147 on the user's copies of its networks and
//! data sets, and `docs/paper.md` with our figures beside the published ones.

mod published;
mod report;

use published::{NETWORKS, Network, QUARTERS};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const USAGE: &str = "\
cargo xtask paper --models DIR --data DIR [--only NAME]... [--report]

  --models DIR   seq_small_mnist.onnx, seq_small_fashion.onnx, seq_large_mnist.onnx,
                 seq_large_fashion.onnx, inception_mnist.onnx, inception_fashion.onnx; missing
                 ones are skipped
  --data DIR     mnist and fashion_mnist, each an .npz or a folder of IDX files
  --only NAME    only this network; may be repeated
  --report       runs nothing, only writes docs/paper.md from existing runs

Results are stored in target/paper. An interrupted run continues; a complete run is not repeated.
All runs together take some hours on two cores.";

/// An experiment on a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Run {
    /// The joint search on every test image, as the paper tuned.
    Search,
    /// The joint search on half of them, measured on the other half.
    Half,
    /// Eight bits everywhere.
    Uniform8,
    /// The joint search on a quarter, measured on each.
    Quarter(usize),
}

impl Run {
    /// Those that say something of a network, the cheapest and most telling first.
    fn of(network: &Network) -> Vec<Self> {
        let mut runs = vec![Self::Uniform8, Self::Search, Self::Half];
        if network.has_quarters {
            runs.extend(QUARTERS.iter().map(|&(quarter, _)| Self::Quarter(quarter)));
        }
        runs
    }

    fn name(self) -> String {
        match self {
            Self::Search => "search".to_owned(),
            Self::Half => "half".to_owned(),
            Self::Uniform8 => "uniform8".to_owned(),
            Self::Quarter(quarter) => format!("quarter{quarter}"),
        }
    }

    fn result(self) -> &'static str {
        match self {
            Self::Quarter(_) => "generalize.json",
            _ => "result.json",
        }
    }

    fn arguments(self) -> Vec<String> {
        let text = match self {
            Self::Search => "quantize --strategy joint --test none --cache 8G --resume",
            Self::Half => "quantize --strategy joint --cache 8G --resume",
            Self::Uniform8 => "quantize --strategy fixed --bits 8 --test none",
            Self::Quarter(quarter) => {
                return ["generalize", "--strategy", "joint", "--parts", "4", "--tune"]
                    .into_iter()
                    .map(str::to_owned)
                    .chain([quarter.to_string()])
                    .collect();
            }
        };
        text.split(' ').map(str::to_owned).collect()
    }
}

/// What a finished run found.
struct Found {
    result: Value,
    /// Plans that it measured; where it was interrupted and went on, all parts together.
    evaluations: Option<usize>,
    /// Whether its time is that of its last part alone.
    is_resumed: bool,
}

/// Where the runs of a network lie.
struct Folder(PathBuf);

impl Folder {
    fn new(root: &Path, network: &Network, run: Run) -> Self {
        Self(root.join("target/paper").join(format!("{}-{}", network.name, run.name())))
    }

    /// What the run found, where it has ended by itself.
    fn found(&self, run: Run) -> Option<Found> {
        let text = fs::read_to_string(self.0.join(run.result())).ok()?;
        let result: Value = serde_json::from_str(&text).ok()?;
        let journal = fs::read_to_string(self.0.join("journal.jsonl")).ok();
        // The first line is its head.
        let evaluations = journal.map(|journal| journal.lines().count().saturating_sub(1));
        let is_resumed = self.0.join("resumed").exists();
        (result["ended"] == "completed").then_some(Found { result, evaluations, is_resumed })
    }
}

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    models: PathBuf,
    data: PathBuf,
    only: Vec<String>,
    report: bool,
}

impl Arguments {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(&name) = rest.next() {
            let mut value =
                || rest.next().ok_or_else(|| format!("`{name}` needs a value\n\n{USAGE}"));
            match name {
                "--models" => parsed.models = value()?.into(),
                "--data" => parsed.data = value()?.into(),
                "--only" => parsed.only.push((*value()?).to_owned()),
                "--report" => parsed.report = true,
                _ => return Err(format!("unknown argument `{name}`\n\n{USAGE}")),
            }
        }
        let names = || NETWORKS.iter().map(|network| network.name);
        if let Some(unknown) = parsed.only.iter().find(|only| names().all(|name| name != *only)) {
            let names: Vec<_> = names().collect();
            return Err(format!("unknown network `{unknown}`; known are {}", names.join(", ")));
        }
        let is_missing = |path: &PathBuf| path.as_os_str().is_empty();
        if !parsed.report && (is_missing(&parsed.models) || is_missing(&parsed.data)) {
            return Err(format!("--models and --data are required\n\n{USAGE}"));
        }
        Ok(parsed)
    }
}

/// Makes the runs that are missing, then the report.
///
/// # Errors
/// What a run or the report failed with.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    if arguments.iter().any(|argument| ["--help", "-h"].contains(argument)) {
        println!("{USAGE}");
        return Ok(());
    }
    let arguments = Arguments::parse(arguments)?;
    if !arguments.report {
        build(root)?;
        for network in &NETWORKS {
            if arguments.only.is_empty() || arguments.only.iter().any(|only| only == network.name) {
                experiments(root, &arguments, network)?;
            }
        }
    }
    let found = |network: &Network, run: Run| Folder::new(root, network, run).found(run);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let path = root.join("docs/paper.md");
    let text = report::write(&found, cores);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("wrote docs/paper.md");
    Ok(())
}

fn build(root: &Path) -> Result<(), String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "-p", "fixedwise-cli"]).current_dir(root);
    succeed(&mut cargo, "cargo build")
}

fn experiments(root: &Path, arguments: &Arguments, network: &Network) -> Result<(), String> {
    let model = arguments.models.join(format!("{}.onnx", network.name));
    if !model.is_file() {
        println!("SKIPPED {}: no {}", network.name, model.display());
        return Ok(());
    }
    let data = [network.data.to_owned() + ".npz", network.data.to_owned()]
        .map(|name| arguments.data.join(name))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| {
            let (name, folder) = (network.data, arguments.data.display());
            format!("neither {name}.npz nor {name} exists in {folder}")
        })?;
    for run in Run::of(network) {
        let folder = Folder::new(root, network, run);
        if folder.found(run).is_some() {
            continue;
        }
        println!("{}: {}", network.name, run.name());
        let folder = folder.0;
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        if folder.join("journal.jsonl").exists() {
            let marker = folder.join("resumed");
            fs::write(&marker, "").map_err(|error| format!("{}: {error}", marker.display()))?;
        }
        let tool = format!("target/release/fixedwise{}", std::env::consts::EXE_SUFFIX);
        let mut command = Command::new(root.join(tool));
        let mut arguments = run.arguments();
        arguments.insert(1, model.display().to_string());
        command.args(arguments).arg("--data").arg(&data);
        command.args(["--preprocess", network.preprocess, "--semantics", "simulated"]);
        command.arg("--output").arg(&folder).arg("--json").stdout(std::process::Stdio::null());
        // A bound that is not met is a finding, not a failure.
        let status = command.status().map_err(|error| format!("fixedwise: {error}"))?;
        if !matches!(status.code(), Some(0 | 2)) {
            return Err(format!("{} {}: {status}", network.name, run.name()));
        }
        if !folder.join(run.result()).is_file() {
            return Err(format!("{} {}: ended without a result", network.name, run.name()));
        }
    }
    Ok(())
}

fn succeed(command: &mut Command, what: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{what}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what}: {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let parsed =
            Arguments::parse(&["--models", "m", "--data", "d", "--only", "inception_mnist"]);
        let expected = Arguments {
            models: "m".into(),
            data: "d".into(),
            only: vec!["inception_mnist".to_owned()],
            report: false,
        };
        assert_eq!(parsed.unwrap(), expected);
        for (wrong, expected) in [
            (&["--models"][..], "needs a value"),
            (&["--models", "m"][..], "are required"),
            (&["--only", "vgg", "--report"][..], "unknown network `vgg`"),
            (&["-x"][..], "unknown argument `-x`"),
        ] {
            assert!(Arguments::parse(wrong).unwrap_err().contains(expected));
        }
    }

    #[test]
    fn only_a_run_that_ended_by_itself_counts() {
        let folder = tempfile::tempdir().unwrap();
        let run = Folder(folder.path().to_owned());
        assert!(run.found(Run::Search).is_none());
        let path = folder.path().join("result.json");
        fs::write(&path, r#"{"ended": "interrupted"}"#).unwrap();
        assert!(run.found(Run::Search).is_none());
        fs::write(&path, r#"{"ended": "completed"}"#).unwrap();
        fs::write(folder.path().join("journal.jsonl"), "{}\n{}\n{}\n").unwrap();
        let found = run.found(Run::Search).unwrap();
        assert_eq!((found.evaluations, found.is_resumed), (Some(2), false));
    }
}
