//! `cargo xtask test`: the steps, one after another, and the closing line.

use crate::{codegen, embedded, python, tidy};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What a change must pass.
    All,
    /// What is worth running after every edit.
    Quick,
}

/// What came of one step.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed)
    }
}

/// Steps that have run.
struct Steps {
    passed: usize,
    /// Name and reason.
    failed: Vec<(&'static str, String)>,
    skipped: Vec<(&'static str, String)>,
    /// Nobody reads a warning there: what cannot run has failed.
    strict: bool,
}

impl Steps {
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> Outcome) {
        println!("\n==> {name}");
        let start = Instant::now();
        let outcome = match step() {
            Outcome::Skipped(why) if self.strict => Outcome::Failed(why),
            outcome => outcome,
        };
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Outcome::Passed => {
                println!("<== {name}: passed in {seconds:.1} s");
                self.passed += 1;
            }
            Outcome::Failed(why) => {
                println!("<== {name}: FAILED in {seconds:.1} s: {why}");
                self.failed.push((name, why));
            }
            Outcome::Skipped(why) => {
                println!("<== {name}: SKIPPED: {why}");
                self.skipped.push((name, why));
            }
        }
    }

    fn close(self, start: Instant) -> Result<(), String> {
        println!();
        for (name, why) in &self.skipped {
            println!("SKIPPED {name}: {why}");
        }
        for (name, why) in &self.failed {
            println!("FAILED {name}: {why}");
        }
        let (passed, failed, skipped) = (self.passed, self.failed.len(), self.skipped.len());
        let seconds = start.elapsed().as_secs_f64();
        println!("steps: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.0} s");
        if failed == 0 { Ok(()) } else { Err("not all steps passed".to_owned()) }
    }
}

/// Runs every step, whatever becomes of those before it.
///
/// # Errors
/// When a step failed.
pub(crate) fn run(root: &Path, extent: Extent) -> Result<(), String> {
    let start = Instant::now();
    let strict = std::env::var("CI").is_ok_and(|value| !matches!(&*value, "" | "0" | "false"));
    let mut steps = Steps { passed: 0, failed: Vec::new(), skipped: Vec::new(), strict };
    let all = extent == Extent::All;

    let mut interpreter = None;
    if all {
        steps.run("python environment", || match python::prepare(root) {
            python::Outcome::Ready(path) => {
                interpreter = Some(path);
                Outcome::Passed
            }
            python::Outcome::Unavailable(why) => {
                Outcome::Skipped(format!("tests against Python libraries do not run: {why}"))
            }
        });
        steps.run("embedded tools", || match embedded::prepare() {
            Ok(()) => Outcome::Passed,
            Err(why) => {
                Outcome::Skipped(format!("tests on emulated microcontrollers do not run: {why}"))
            }
        });
    }
    steps.run("tidy", || tidy_outcome(root));
    steps.run("codegen is unchanged", || codegen::check(root).into());
    steps.run("format", || {
        component(root, "fmt", "rustfmt", || cargo(root, &["fmt", "--all", "--check"], None))
    });
    steps.run("clippy", || {
        const CLIPPY: [&str; 6] =
            ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        component(root, "clippy", "clippy", || cargo(root, &CLIPPY, None))
    });
    steps.run("tests", || {
        let tests: &[&str] = if is_there(root, "nextest") {
            &["nextest", "run", "--workspace", "--no-fail-fast"]
        } else {
            &["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]
        };
        cargo(root, tests, interpreter.as_ref()).into()
    });
    if all {
        steps.run("doctests", || {
            let doctests = ["test", "--doc", "--workspace", "--no-fail-fast"];
            cargo(root, &doctests, interpreter.as_ref()).into()
        });
        steps.run("docs", || cargo(root, &["doc", "--workspace", "--no-deps"], None).into());
    }
    steps.close(start)
}

fn tidy_outcome(root: &Path) -> Outcome {
    let mut problems = Vec::new();
    for (_, rule) in tidy::RULES {
        match rule(root) {
            Ok(found) => problems.extend(found),
            Err(why) => problems.push(why),
        }
    }
    if problems.is_empty() { Outcome::Passed } else { Outcome::Failed(problems.join("\n")) }
}

/// A step that needs a part of the tool chain; asks `rustup` for it where it lacks.
fn component(
    root: &Path,
    subcommand: &str,
    name: &str,
    step: impl FnOnce() -> Result<(), String>,
) -> Outcome {
    if !is_there(root, subcommand) {
        let added = Command::new("rustup").args(["component", "add", name]).status();
        if !added.is_ok_and(|status| status.success()) || !is_there(root, subcommand) {
            return Outcome::Skipped(format!("`rustup component add {name}` makes it run"));
        }
    }
    step().into()
}

/// Whether cargo has this subcommand.
fn is_there(root: &Path, subcommand: &str) -> bool {
    cargo_command(root)
        .args([subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn cargo(root: &Path, args: &[&str], python: Option<&PathBuf>) -> Result<(), String> {
    let mut command = cargo_command(root);
    command.args(args);
    if args[0] == "doc" {
        command.env("RUSTDOCFLAGS", "--deny warnings");
    }
    if let Some(interpreter) = python {
        command.env("FIXEDWISE_PYTHON", interpreter);
    }
    let line = format!("cargo {}", args.join(" "));
    println!("{line}");
    let status = command.status().map_err(|error| format!("`{line}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}`: {status}")) }
}

fn cargo_command(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    command
}
