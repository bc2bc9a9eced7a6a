//! The Python package: `cargo xtask wheel`.

use crate::{python, tutorial};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a wheel is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Build {
    /// Those who use it.
    Release,
    /// Tests: with the crates that other tests are made of.
    Tests,
}

/// Builds the wheel and the source distribution into `target/wheels`.
pub(crate) fn build(root: &Path) -> Result<(), String> {
    let python = interpreter(root)?;
    println!("{}", wheel(root, &python, Build::Release)?.display());
    println!("{}", sources(root, &python)?.display());
    Ok(())
}

/// Writes the stubs of the package.
pub(crate) fn stubs(root: &Path) -> Result<(), String> {
    let python = interpreter(root)?;
    let environment = fresh(root, &python, &wheel(root, &python, Build::Tests)?, &python)?;
    let stub = root.join("crates/python/python/fixedwise/_functions.pyi");
    let script = root.join("crates/python/stubs.py");
    run(Command::new(environment).arg(script).arg(stub)).map(drop)
}

/// Builds the package, installs it into a fresh environment and runs its tests there.
///
/// Tests write what they lack into the file `skipped`.
pub(crate) fn test(root: &Path, python: &Path, skipped: &Path) -> Result<(), String> {
    let sources = sources(root, python)?;
    let environment = fresh(root, python, &wheel(root, python, Build::Tests)?, python)?;
    let mut tests = tests_in(root, &environment, &sources);
    succeeds(tests.env("FIXEDWISE_SKIPPED", skipped), root, "the tests of the wheel")
}

/// Builds a wheel from the source distribution, as pip does, and runs the tests of the package on it.
pub(crate) fn from_sources(root: &Path) -> Result<(), String> {
    let python = interpreter(root)?;
    let sources = sources(root, &python)?;
    let folder = root.join("target/wheels/from-sources");
    remove_all(&folder, "whl")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "--disable-pip-version-check", "wheel", "--no-index", "--no-deps"]);
    let built = root.join("target/sdist");
    forget(&built)?;
    // It is built with what this environment has.
    let programs = python.parent().map(Path::to_owned).into_iter();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(programs.chain(std::env::split_paths(&path)));
    pip.env("PATH", path.map_err(|error| format!("PATH: {error}"))?);
    pip.arg("--no-build-isolation").env("CARGO_TARGET_DIR", built);
    run(pip.arg("--wheel-dir").arg(&folder).arg(&sources).current_dir(root.join("target")))?;
    let environment = fresh(root, &python, &only(&folder, "whl")?, &python)?;
    let mut tests = tests_in(root, &environment, &sources);
    succeeds(tests.args(["--pattern", "test_package.py"]), root, "the wheel of the sources")
}

/// Has the crates of the project compiled anew in a folder: all files of an archive have one time, by which cargo would
/// take others for the same.
fn forget(built: &Path) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(built.join("release/.fingerprint")) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("fixedwise") {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// The tests of the package.
fn tests_in(root: &Path, environment: &Path, sources: &Path) -> Command {
    let mut tests = Command::new(environment);
    tests.args(["-W", "error", "-m", "unittest", "discover", "--start-directory"]);
    tests.arg(root.join("crates/python/tests"));
    tests.env("FIXEDWISE_SOURCES", sources).env("CARGO", cargo());
    tests
}

/// Runs the notebooks that the environment with `PyTorch` can run, and their searches to the end.
pub(crate) fn notebooks(root: &Path) -> Result<(), String> {
    let python = interpreter(root)?;
    let wheel = wheel(root, &python, Build::Release)?;
    let environment = fresh(root, &python, &wheel, &tutorial::interpreter(root)?)?;
    let mut tests = Command::new(environment);
    tests.arg(root.join("crates/python/tests/test_examples.py"));
    tests.env("FIXEDWISE_WHOLE_NOTEBOOKS", "1");
    succeeds(&mut tests, root, "the notebooks")
}

fn succeeds(tests: &mut Command, root: &Path, what: &str) -> Result<(), String> {
    tests.env("FIXEDWISE_ROOT", root).current_dir(root.join("target"));
    let status = tests.status().map_err(|error| format!("{what}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what}: {status}")) }
}

/// The interpreter of the environment that builds.
pub(crate) fn interpreter(root: &Path) -> Result<PathBuf, String> {
    match python::prepare(root) {
        python::Outcome::Ready(path) => Ok(path),
        python::Outcome::Unavailable(why) => Err(why),
    }
}

fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Builds the wheel.
fn wheel(root: &Path, python: &Path, build: Build) -> Result<PathBuf, String> {
    let (folder, profile) = match build {
        Build::Release => ("target/wheels", "release"),
        Build::Tests => ("target/wheels/tests", "dev"),
    };
    let folder = root.join(folder);
    remove_all(&folder, "whl")?;
    let mut maturin = Command::new(python);
    maturin.args(["-m", "maturin", "build", "--locked", "--compatibility", "linux"]);
    maturin.args(["--profile", profile, "--out"]).arg(&folder);
    run(maturin.current_dir(root))?;
    only(&folder, "whl")
}

/// Builds the source distribution.
fn sources(root: &Path, python: &Path) -> Result<PathBuf, String> {
    let folder = root.join("target/wheels");
    remove_all(&folder, "gz")?;
    let mut maturin = Command::new(python);
    maturin.args(["-m", "maturin", "sdist", "--out"]).arg(&folder);
    run(maturin.current_dir(root))?;
    only(&folder, "gz")
}

/// A fresh environment with a wheel; what else tests need is that of the environment of `others`.
fn fresh(root: &Path, python: &Path, wheel: &Path, others: &Path) -> Result<PathBuf, String> {
    let folder = root.join("target/wheel-environment");
    run(Command::new(python).args(["-m", "venv", "--clear", "--without-pip"]).arg(&folder))?;
    let own = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--disable-pip-version-check", "--quiet", "--python"]).arg(&own);
    run(pip.args(["install", "--no-index", "--no-deps"]).arg(wheel))?;
    let packages = |python: &Path| {
        let print = "import sysconfig; print(sysconfig.get_path('purelib'))";
        run(Command::new(python).args(["-c", print])).map(|text| PathBuf::from(text.trim()))
    };
    let path = packages(&own)?.join("others.pth");
    let line = format!("{}\n", packages(others)?.display());
    fs::write(&path, line).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(own)
}

/// The file of that kind in a folder.
fn only(folder: &Path, extension: &str) -> Result<PathBuf, String> {
    let found = files(folder, extension)?;
    match &found[..] {
        [file] => Ok(file.clone()),
        _ => Err(format!("{}: {} files of kind {extension}", folder.display(), found.len())),
    }
}

fn remove_all(folder: &Path, extension: &str) -> Result<(), String> {
    for file in files(folder, extension)? {
        fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths: Vec<PathBuf> = paths
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == extension)).collect())
}

/// Runs to the end and gives what was printed.
fn run(command: &mut Command) -> Result<String, String> {
    let name = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        let said = text(&output.stdout) + &text(&output.stderr);
        Err(format!("{name}: {}\n{said}", output.status))
    }
}
