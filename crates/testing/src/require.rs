//! What a test needs beyond the checkout: a Python environment, programs, and the folder `shared`
//! beside the checkout with trained networks and whole data sets that are not ours to ship.
//!
//! A test whose need is not met returns early, and a test that returns early passes. So all of them
//! ask here, and here it is said, or fails where `CI` is set.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Whether the machine could have what is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// `cargo xtask test` or the user can install it: with `CI` set its lack is a failure.
    Obtainable,
    /// It is not public.
    Private,
}

/// A file of the folder `shared` beside the checkout, or of the folder that `FIXEDWISE_SHARED`
/// names.
///
/// # Panics
/// Where `CI` is set, the folder exists and the file does not.
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join("shared");
    let folder = env::var_os("FIXEDWISE_SHARED").map_or_else(beside, PathBuf::from);
    let missing = if folder.is_dir() { Missing::Obtainable } else { Missing::Private };
    let path = folder.join(name);
    require(path.exists().then_some(path), missing, || format!("no file `{name}` in `shared`"))
}

/// A file of the project.
pub fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// The Python interpreter that `cargo xtask test` prepares, with what `suite/requirements.txt`
/// asks for.
///
/// # Panics
/// Where `CI` is set and there is none.
pub fn python() -> Option<PathBuf> {
    let python = env::var_os("FIXEDWISE_PYTHON").map(PathBuf::from);
    let why = || "no Python environment; `cargo xtask test` creates one".to_owned();
    require(python, Missing::Obtainable, why)
}

/// Whether all of `programs` are in the search path.
///
/// # Panics
/// Where `CI` is set and one is not.
pub fn has_programs(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| env::split_paths(&path).any(|dir| dir.join(program).is_file());
    programs.iter().all(|&program| {
        let found = is_there(program).then_some(());
        let why = || format!("no program `{program}`; `cargo xtask test` installs it or says how");
        require(found, Missing::Obtainable, why).is_some()
    })
}

/// `found`, or a line that says which test is skipped and why.
///
/// The line goes past the harness, which keeps back what a passing test prints, and into the file
/// that `FIXEDWISE_SKIPPED` names, from which `cargo xtask test` reports at its end.
fn require<T>(found: Option<T>, missing: Missing, why: impl FnOnce() -> String) -> Option<T> {
    if found.is_some() {
        return found;
    }
    let line = skipped(&why(), missing, is_strict(env::var("CI").ok().as_deref()));
    // A test does not fail because nobody hears that it was skipped.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os("FIXEDWISE_SKIPPED") {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
    None
}

/// Whether the value of `CI` asks that nothing be skipped.
fn is_strict(ci: Option<&str>) -> bool {
    !matches!(ci, None | Some("" | "0" | "false"))
}

/// The line of a skip.
///
/// # Panics
/// Where nothing may be skipped.
fn skipped(why: &str, missing: Missing, is_strict: bool) -> String {
    assert!(!is_strict || missing == Missing::Private, "{why}");
    let thread = std::thread::current();
    let test = env::var("NEXTEST_TEST_NAME").ok();
    format!("SKIPPED {}: {why}\n", test.as_deref().or(thread.name()).unwrap_or("a test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_names_its_test_and_its_reason() {
        let line = skipped("no moon", Missing::Obtainable, false);
        assert!(line.ends_with("a_skip_names_its_test_and_its_reason: no moon\n"), "{line}");
        assert!(line.starts_with("SKIPPED "), "{line}");
        assert_eq!(skipped("no moon", Missing::Private, true), line);
    }

    #[test]
    fn what_can_be_had_is_not_skipped_in_ci() {
        let failed = std::panic::catch_unwind(|| skipped("no moon", Missing::Obtainable, true));
        assert_eq!(failed.unwrap_err().downcast_ref::<String>().unwrap(), "no moon");
        for (value, strict) in
            [(None, false), (Some(""), false), (Some("0"), false), (Some("false"), false)]
        {
            assert_eq!(is_strict(value), strict, "{value:?}");
        }
        assert!(is_strict(Some("true")) && is_strict(Some("1")));
    }

    #[test]
    fn what_is_there_is_not_skipped() {
        assert_eq!(require(Some(3), Missing::Private, || unreachable!()), Some(3));
        assert!(has_programs(&["cargo"]));
    }
}
