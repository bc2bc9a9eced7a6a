//! What developing needs beyond cargo: `cargo xtask help` lists it.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "reports to a terminal")]

mod check;
mod codegen;
mod embedded;
mod paper;
mod python;
mod rooms;
mod source;
mod tidy;
mod tutorial;
mod wheel;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const USAGE: &str = "\
cargo xtask <command>

  test [--quick]     runs all checks that a change must pass; --quick omits slow tests, Python,
                     doctests and docs
  tidy [--rooms]     checks dependencies, circles between folders, use of files and clock, unsafe
                     code, paths of one machine; --rooms counts the files and folders of each crate
  codegen [--check]  writes the operator table of README.md; --check fails if it is out of date
  operators          writes docs/operators.md: what every case of the suite comes to, by operator
  python             prepares target/python from suite/requirements.txt and prints its interpreter
  wheel [--stubs | --test | --notebooks | --sdist]  builds the Python wheel and its sources into target/wheels;
                     --stubs writes its stubs, --test runs its tests in a fresh environment, --notebooks the
                     notebooks in one with PyTorch, --sdist builds a wheel from the sources and tests it
  tutorial           trains the networks of docs/tutorial.md with PyTorch and Keras
  bench [ARGS]       runs bench/run.sh
  bench code [--write]  measures the bytes of every function of generated C; writes the table of code sizes
  bench instructions [--write]  counts instructions of layers on emulated cores; writes the table of what loops take
  bench networks [NAME]  whole networks: instructions as they are told and counted, flash and RAM by core, beside
                     CMSIS-NN
  bench kernels [CORE]  counts instructions of generated C on emulated cores, compared with CMSIS-NN
  paper [ARGS]       runs the paper's experiments and writes docs/paper.md; see `paper --help`

With CI=true, a step of `test` that cannot run is a failure.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = root();
    let done = match args.as_slice() {
        ["test" | "ci"] => check::run(&root, check::Extent::All),
        ["test" | "ci", "--quick"] => check::run(&root, check::Extent::Quick),
        ["tidy"] => all_tidy(&root),
        ["tidy", "--rooms"] => tidy::print_rooms(&root),
        ["codegen"] => codegen::write(&root),
        ["codegen", "--check"] => codegen::check(&root),
        ["operators"] => operators(&root),
        ["python"] => python_only(&root),
        ["wheel"] => wheel::build(&root),
        ["wheel", "--stubs"] => wheel::stubs(&root),
        ["wheel", "--notebooks"] => wheel::notebooks(&root),
        ["wheel", "--sdist"] => wheel::from_sources(&root),
        ["wheel", "--test"] => {
            let skipped = root.join("target/skipped.txt");
            wheel::interpreter(&root).and_then(|python| wheel::test(&root, &python, &skipped))
        }
        ["tutorial"] => tutorial::run(&root),
        ["paper", rest @ ..] => paper::run(&root, rest),
        ["bench", program @ ("kernels" | "code" | "instructions" | "networks"), rest @ ..] => {
            bench_program(&root, program, rest)
        }
        ["bench", rest @ ..] => bench(&root, rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => Err(USAGE.to_owned()),
        _ => Err(format!("unknown arguments: `{}`\n\n{USAGE}", args.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    // Cargo says where it runs this; checkouts that share a target folder share the binary.
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().expect("the package lies in the workspace").to_owned()
}

fn all_tidy(root: &Path) -> Result<(), String> {
    let mut problems = Vec::new();
    for (name, rule) in tidy::RULES {
        let found = rule(root)?;
        println!("{} {name}", if found.is_empty() { "  ok" } else { "FAIL" });
        problems.extend(found);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn python_only(root: &Path) -> Result<(), String> {
    match python::prepare(root) {
        python::Outcome::Ready(interpreter) => {
            println!("{}", interpreter.display());
            Ok(())
        }
        python::Outcome::Unavailable(why) => Err(why),
    }
}

/// Writes the table of operators: the test that compares it does.
fn operators(root: &Path) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let test = "slow::operators::the_table_of_operators_is_what_every_case_comes_to";
    let run = ["test", "--quiet", "--package", "fixedwise-graph", "--test", "all", "--", "--exact"];
    let status = Command::new(cargo)
        .args(run)
        .arg(test)
        .env("FIXEDWISE_WRITE_OPERATORS", "1")
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("operators: {status}")) }
}

fn bench_program(root: &Path, program: &str, args: &[&str]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = ["run", "--quiet", "--package", "fixedwise-bench", "--bin", program, "--"];
    let status = Command::new(cargo)
        .args(run)
        .args(args)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("bench {program}: {status}")) }
}

fn bench(root: &Path, args: &[&str]) -> Result<(), String> {
    let script = root.join("bench/run.sh");
    if !script.is_file() {
        return Err("there is no bench/run.sh".to_owned());
    }
    let status = Command::new("bash")
        .arg(&script)
        .args(args)
        .current_dir(root)
        .status()
        .map_err(|error| format!("bash: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("bench/run.sh: {status}")) }
}
