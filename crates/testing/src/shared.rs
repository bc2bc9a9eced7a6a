//! Files that may stand beside the checkout: trained networks and whole data sets that are not
//! ours to ship.

use std::path::{Path, PathBuf};

/// A file of the folder `shared` beside the checkout, or of the folder that `FIXEDWISE_SHARED`
/// names. Where there is none this says so: the test that asks is then skipped.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join("shared");
    let folder = std::env::var_os("FIXEDWISE_SHARED").map_or_else(beside, PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

/// A file of the project.
pub fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// The Python interpreter that `cargo xtask test` prepares, with what `suite/requirements.txt`
/// asks for. Where there is none this says so: the test that asks is then skipped.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("FIXEDWISE_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("SKIPPED: no Python environment; `cargo xtask test` makes one");
    }
    python
}
