//! Files, whole or not at all.

use crate::error::Error;
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Writes a file so that it appears whole or not at all: under another name in the same folder, to
/// the disk, then renamed. A file that stood there before is replaced in one step.
///
/// # Errors
/// [`Error::Io`] naming the path; what stood there before still does.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// let path = folder.path().join("plan.toml");
/// fixedwise::write_file(&path, b"schema = 1\n")?;
/// assert_eq!(std::fs::read(&path).expect("readable"), b"schema = 1\n");
/// # Ok(())
/// # }
/// ```
pub fn write_file(path: &Path, contents: &[u8]) -> Result<(), Error> {
    write_files(&[(path.to_owned(), contents)])
}

/// Writes files that belong together: all are on the disk before the first is renamed.
///
/// # Errors
/// [`Error::Io`] naming the path.
pub(crate) fn write_files(files: &[(PathBuf, &[u8])]) -> Result<(), Error> {
    let written = files.iter().map(|(path, contents)| {
        let temporary = unnamed(path, contents);
        temporary.map_err(|source| io_error("write", path, source))
    });
    let written: Vec<_> = written.collect::<Result<_, _>>()?;
    for (temporary, (path, _)) in written.into_iter().zip(files) {
        renamed(temporary, path).map_err(|source| io_error("write", path, source))?;
    }
    Ok(())
}

/// The contents on the disk, under another name in the folder of the path.
fn unnamed(path: &Path, contents: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut temporary = temporary(folder_of(path))?;
    temporary.write_all(contents)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn renamed(temporary: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    temporary.persist(path).map_err(|error| error.error)?;
    // The rename itself reaches the disk with the folder; not every file system can do that.
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    Ok(())
}

/// A new file with the permissions of any other, gone when dropped.
fn temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".fixedwise-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(|error| match error.kind() {
        kind @ io::ErrorKind::NotFound => {
            let problem = format!("there is no folder `{}`; create it first", folder.display());
            io::Error::new(kind, problem)
        }
        // Its name says nothing to whom it cannot be made for.
        kind => kind.into(),
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// A folder for results. One that this run made is taken away again if nothing came of it.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    path: PathBuf,
    /// The folders that did not exist before, outermost first.
    made: Vec<PathBuf>,
}

impl OutputFolder {
    /// Makes the folder, where it does not exist, and checks that files can be written there:
    /// before hours of work, not after.
    pub(crate) fn prepare(path: &Path) -> Result<Self, Error> {
        let missing = path.ancestors().take_while(|p| *p != Path::new("") && !p.exists());
        let mut made: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        made.reverse();
        let folder = Self { path: path.to_owned(), made };
        fs::create_dir_all(path)
            .and_then(|()| temporary(path))
            .map_err(|source| io_error("write into", path, source))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            // Only an empty folder can be removed so.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: path.to_owned(), source }
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| io_error("read", path, source))
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| io_error("read", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        for contents in ["a longer text", "short"] {
            write_file(&path, contents.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_belong_together_are_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b/c"].map(|name| folder.path().join(name));
        let files = paths.clone().map(|path| (path, &b"new"[..]));
        let error = write_files(&files).unwrap_err();
        assert!(error.to_string().contains("b/c"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            cause.contains("there is no folder") && cause.ends_with("create it first"),
            "{cause}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(folder.path().join("b")).unwrap();
        write_files(&files).unwrap();
        assert!(paths.iter().all(|path| fs::read(path).unwrap() == b"new"));
    }

    #[test]
    fn a_path_below_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "kept").unwrap();
        let error = write_file(&file.join("plan.toml"), b"new").unwrap_err().to_string();
        assert!(error.contains("file/plan.toml"), "{error}");
        assert!(OutputFolder::prepare(&file.join("a/b")).is_err());
        assert!(OutputFolder::prepare(&file).is_err());
        assert!(write_file(folder.path(), b"new").is_err(), "a folder is not replaced");
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_without_results_is_taken_away() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        drop(OutputFolder::prepare(&path).unwrap());
        assert!(!root.path().join("a").exists());

        let folder = OutputFolder::prepare(&path).unwrap();
        write_file(&folder.path().join("plan.toml"), b"x").unwrap();
        drop(folder);
        assert!(path.join("plan.toml").exists());
        drop(OutputFolder::prepare(&path).unwrap());
        assert!(path.join("plan.toml").exists());
    }
}
