//! Python environments: of tests that compare with Python libraries, and of the tutorial.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What came of it.
pub(crate) enum Outcome {
    /// The environment's interpreter.
    Ready(PathBuf),
    /// Why there is none.
    Unavailable(String),
}

/// Makes `target/python` what `suite/requirements.txt` asks for, or finds it so.
pub(crate) fn prepare(root: &Path) -> Outcome {
    environment(root, "target/python", "suite/requirements.txt")
}

/// Makes `folder` what `requirements` asks for, or finds it so; both are paths in the project.
pub(crate) fn environment(root: &Path, folder: &str, requirements: &str) -> Outcome {
    match made(root, folder, requirements) {
        Ok(interpreter) => Outcome::Ready(interpreter),
        Err(why) => Outcome::Unavailable(why),
    }
}

fn made(root: &Path, folder_name: &str, requirements_name: &str) -> Result<PathBuf, String> {
    let requirements = root.join(requirements_name);
    let wanted = fs::read_to_string(&requirements)
        .map_err(|error| format!("{requirements_name}: {error}"))?;
    let folder = root.join(folder_name);
    let interpreter =
        if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") };
    // Written last, so that a half-made environment is made again.
    let stamp = folder.join("requirements.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted)
        && runs(Command::new(&interpreter).arg("--version")).is_ok()
    {
        return Ok(interpreter);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{folder_name}: {error}"))?;
    }
    fill(&folder, &interpreter, &requirements)?;
    fs::write(&stamp, &wanted).map_err(|error| format!("{folder_name}: {error}"))?;
    Ok(interpreter)
}

/// Makes the environment by the first way that this machine has.
fn fill(folder: &Path, interpreter: &Path, requirements: &Path) -> Result<(), String> {
    const SYSTEM: &str = if cfg!(windows) { "python" } else { "python3" };
    const PIP: [&str; 4] = ["-m", "pip", "--disable-pip-version-check", "--quiet"];
    runs(Command::new(SYSTEM).arg("--version"))?;
    let install = ["install", "--requirement"];
    if runs(Command::new(SYSTEM).args(["-m", "venv"]).arg(folder)).is_ok() {
        return runs(Command::new(interpreter).args(PIP).args(install).arg(requirements));
    }
    // Debian splits pip out of venv: borrow the system's pip, or uv.
    runs(Command::new(SYSTEM).args(["-m", "venv", "--clear", "--without-pip"]).arg(folder))?;
    let borrowed = runs(
        Command::new(SYSTEM)
            .args(PIP)
            .arg("--python")
            .arg(interpreter)
            .args(install)
            .arg(requirements),
    );
    if borrowed.is_ok() {
        return Ok(());
    }
    runs(
        Command::new("uv")
            .args(["pip", "install", "--quiet", "--python"])
            .arg(interpreter)
            .arg("--requirement")
            .arg(requirements),
    )
    .map_err(|_| "no pip for Python; install `python3-venv`, `python3-pip` or `uv`".to_owned())
}

/// Runs to the end; the error holds the last lines of what it said.
fn runs(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(10)..].join("\n");
    Err(format!("`{program}` failed ({})\n{tail}", output.status))
}
