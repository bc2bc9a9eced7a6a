//! Runs the training of `docs/tutorial.md`.

use crate::python::{self, Outcome};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the scripts run and leave their networks.
const FOLDER: &str = "target/tutorial";

/// Runs every Python script of the tutorial, with an environment of its own.
///
/// # Errors
/// Where there is no environment, or a script fails.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let interpreter = interpreter(root)?;
    let folder = root.join(FOLDER);
    let failed = |error: std::io::Error| format!("{FOLDER}: {error}");
    let data = folder.join("data/fashion-mnist");
    fs::create_dir_all(&data).map_err(failed)?;
    for file in fs::read_dir(root.join("data/fashion-mnist")).map_err(failed)? {
        let file = file.map_err(failed)?;
        fs::copy(file.path(), data.join(file.file_name())).map_err(failed)?;
    }
    let page = fs::read_to_string(root.join("docs/tutorial.md")).map_err(failed)?;
    for (name, script) in scripts(&page) {
        println!("{name}");
        fs::write(folder.join(name), script).map_err(failed)?;
        let mut command = Command::new(&interpreter);
        command.arg(name).current_dir(&folder).env("KERAS_BACKEND", "jax");
        let status = command.status().map_err(|error| format!("{name}: {error}"))?;
        if !status.success() {
            return Err(format!("{name}: {status}"));
        }
    }
    println!("The networks are in {FOLDER}.");
    Ok(())
}

/// The interpreter of the environment with `PyTorch` and Keras.
pub(crate) fn interpreter(root: &Path) -> Result<PathBuf, String> {
    let requirements = "zoo/requirements-tutorial.txt";
    match python::environment(root, "target/tutorial-python", requirements) {
        Outcome::Ready(interpreter) => Ok(interpreter),
        Outcome::Unavailable(why) => Err(why),
    }
}

/// The Python blocks of a page, each with the name that its first line gives.
fn scripts(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```python\n").skip(1).filter_map(|rest| rest.split("```").next());
    let named = blocks.filter_map(|block| Some((block.lines().next()?.strip_prefix("# ")?, block)));
    let is_script = |name: &str| Path::new(name).extension().is_some_and(|suffix| suffix == "py");
    named.filter(|(name, _)| is_script(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_names_that_their_first_lines_give() {
        let page = "a\n```python\n# a.py\nprint(1)\n```\n```sh\n# b.py\n```\n```python\nc\n```\n";
        assert_eq!(scripts(page), [("a.py", "# a.py\nprint(1)\n")]);
    }

    #[test]
    fn the_tutorial_trains_in_both_frameworks() {
        let names: Vec<_> = scripts(include_str!("../../docs/tutorial.md"))
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["train_torch.py", "train_keras.py"]);
    }
}
