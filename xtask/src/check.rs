//! `cargo xtask test`: the steps, one after another, and the closing line.

use crate::{codegen, embedded, python, tidy, wheel};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where tests stand that take long: `--quick` leaves them out.
const SLOW: &str = "slow::";

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
    /// Name and seconds.
    passed: Vec<(&'static str, f64)>,
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
                self.passed.push((name, seconds));
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
        for (name, seconds) in &self.passed {
            println!("{seconds:8.1} s  {name}");
        }
        for (name, why) in &self.skipped {
            println!("SKIPPED {name}: {why}");
        }
        for (name, why) in &self.failed {
            println!("FAILED {name}: {why}");
        }
        let (passed, failed, skipped) = (self.passed.len(), self.failed.len(), self.skipped.len());
        let seconds = start.elapsed().as_secs_f64();
        println!("steps: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.0} s");
        if failed == 0 { Ok(()) } else { Err("some steps failed".to_owned()) }
    }
}

/// Runs every step, whatever becomes of those before it.
///
/// # Errors
/// When a step failed.
pub(crate) fn run(root: &Path, extent: Extent) -> Result<(), String> {
    let start = Instant::now();
    let strict = is_ci();
    let mut steps = Steps { passed: Vec::new(), failed: Vec::new(), skipped: Vec::new(), strict };
    let all = extent == Extent::All;

    let mut interpreter = None;
    thread::scope(|scope| {
        // They wait for a network; the compiler does not.
        let python = all.then(|| scope.spawn(|| python::prepare(root)));
        let tools = all.then(|| scope.spawn(embedded::prepare));
        steps.run("tidy", || tidy_outcome(root));
        steps.run("codegen is unchanged", || codegen::check(root).into());
        steps.run("format", || {
            component(root, "fmt", "rustfmt", || cargo(root, &["fmt", "--all", "--check"]))
        });
        steps.run("clippy", || {
            const CLIPPY: [&str; 6] =
                ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
            component(root, "clippy", "clippy", || cargo(root, &CLIPPY))
        });
        if let Some(python) = python {
            steps.run("python environment", || match joined(python) {
                python::Outcome::Ready(path) => {
                    interpreter = Some(path);
                    Outcome::Passed
                }
                python::Outcome::Unavailable(why) => Outcome::Skipped(format!(
                    "tests that compare with Python libraries are skipped: {why}"
                )),
            });
        }
        if let Some(tools) = tools {
            steps.run("embedded tools", || match joined(tools) {
                Ok(()) => Outcome::Passed,
                Err(why) => Outcome::Skipped(format!(
                    "tests on emulated microcontrollers are skipped: {why}"
                )),
            });
        }
    });
    remove_old_programs(root);
    let skipped = root.join("target/skipped.txt");
    let _ = fs::remove_file(&skipped);
    let tests = Tests { root, python: interpreter.as_deref(), skipped: &skipped };
    steps.run("tests", || tests.run(extent).into());
    if let (true, Some(python)) = (all, &interpreter) {
        steps.run("wheel", || wheel::test(root, python, &skipped).into());
    }
    if all {
        steps.run("doctests", || tests.doctests().into());
        steps.run("docs", || cargo(root, &["doc", "--workspace", "--no-deps"]).into());
    }
    print_skipped(&skipped);
    steps.close(start)
}

/// What a thread made; its panic is this one's.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Removes compiled programs of tests that no test made in the last week.
fn remove_old_programs(root: &Path) {
    const WEEK: Duration = Duration::from_hours(7 * 24);
    let Ok(programs) = fs::read_dir(root.join("target/c-programs")) else { return };
    for program in programs.flatten() {
        let modified = program.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > WEEK)) {
            let _ = fs::remove_file(program.path());
        }
    }
}

/// The test programs and what they are told.
struct Tests<'a> {
    root: &'a Path,
    python: Option<&'a Path>,
    /// Where tests write what they lack.
    skipped: &'a Path,
}

impl Tests<'_> {
    fn run(&self, extent: Extent) -> Result<(), String> {
        if !is_there(self.root, "nextest") {
            let all = ["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"];
            let rest: &[&str] = if extent == Extent::Quick { &["--", "--skip", SLOW] } else { &[] };
            return self.cargo(&[&all, rest].concat());
        }
        let report = self.root.join("target/nextest/default/junit.xml");
        let _ = fs::remove_file(&report);
        let not_slow = format!("not test({SLOW})");
        let rest: &[&str] = if extent == Extent::Quick { &["-E", &not_slow] } else { &[] };
        let all = ["nextest", "run", "--workspace", "--no-fail-fast"];
        let result = self.cargo(&[&all, rest].concat());
        print_slowest(&fs::read_to_string(&report).unwrap_or_default());
        result
    }

    fn doctests(&self) -> Result<(), String> {
        self.cargo(&["test", "--doc", "--workspace", "--no-fail-fast"])
    }

    fn cargo(&self, args: &[&str]) -> Result<(), String> {
        let mut command = cargo_command(self.root);
        command.args(args).env("FIXEDWISE_SKIPPED", self.skipped);
        if let Some(interpreter) = self.python {
            command.env("FIXEDWISE_PYTHON", interpreter);
        }
        run_command(command, args)
    }
}

/// The ten tests of a `JUnit` report that took longest, and how many there are.
fn print_slowest(report: &str) {
    let tests = durations(report);
    println!("\n{} tests; the slowest of them:", tests.len());
    for (seconds, name) in tests.iter().take(10) {
        println!("{seconds:8.1} s  {name}");
    }
}

/// Seconds and names of the tests of a `JUnit` report, the slowest first.
fn durations(report: &str) -> Vec<(f64, String)> {
    let mut tests: Vec<(f64, String)> = report
        .split("<testcase ")
        .skip(1)
        .filter_map(|case| {
            let attribute = |name: &str| {
                let (_, rest) = case.split_once(&format!("{name}=\""))?;
                Some(rest.split_once('"')?.0)
            };
            let name = format!(
                "{} {}",
                attribute("classname")?,
                case.strip_prefix("name=\"")?.split_once('"')?.0
            );
            Some((attribute("time")?.parse().ok()?, name))
        })
        .collect();
    tests.sort_by(|a, b| b.0.total_cmp(&a.0));
    tests
}

/// What tests said that they lack, each line once.
fn print_skipped(path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: BTreeSet<&str> = text.lines().collect();
    if !lines.is_empty() {
        println!("\ntests that did not run, or not all of them:");
    }
    for line in lines {
        println!("{line}");
    }
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
            return Outcome::Skipped(format!("install it with `rustup component add {name}`"));
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

fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    let mut command = cargo_command(root);
    command.args(args);
    if args[0] == "doc" {
        command.env("RUSTDOCFLAGS", "--deny warnings");
    }
    run_command(command, args)
}

fn run_command(mut command: Command, args: &[&str]) -> Result<(), String> {
    let line = format!("cargo {}", args.join(" "));
    println!("{line}");
    let status = command.status().map_err(|error| format!("`{line}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}`: {status}")) }
}

fn cargo_command(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root);
    if is_ci() {
        // What is built once needs no record of how to build it again.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Whether a machine runs the check that nobody watches.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(&*value, "" | "0" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_tests_come_first() {
        let report = r#"<testsuites name="nextest-run" tests="2" time="9.5">
            <testsuite name="codec::all" tests="2">
                <testcase name="keras::fast" classname="codec::all" timestamp="x" time="0.250">
                </testcase>
                <testcase name="slow::seed" classname="codec::all" timestamp="x" time="3.5"/>
            </testsuite></testsuites>"#;
        let expected = [(3.5, "codec::all slow::seed"), (0.25, "codec::all keras::fast")];
        assert_eq!(durations(report), expected.map(|(time, name)| (time, name.to_owned())));
    }
}
