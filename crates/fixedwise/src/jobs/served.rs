//! The page of a run in a folder, whether it has ended or goes on.

use crate::{
    error::Error,
    result::RunResult,
    show::{Now, ServedPage, Shown, grouped, running_page, served_page},
    watch::Running,
};
use fixedwise_fixed::convert::count_to_u64;
use std::{fs, path::Path, time::SystemTime};

/// The page of the run in a folder: of its result, or, where its journal is newer, of what that has so far.
///
/// # Errors
/// [`Error`] for a folder that no run has written, and for files that cannot be read.
///
/// ```
/// let error = fixedwise::page_of_folder("no-such-folder".as_ref()).unwrap_err().to_string();
/// assert!(error.contains("neither result.json nor journal.jsonl"), "{error}");
/// ```
pub fn page_of_folder(folder: &Path) -> Result<ServedPage, Error> {
    let written = |name: &str| {
        let about = fs::metadata(folder.join(name)).and_then(|about| about.modified());
        about.ok()
    };
    let label = &folder.display().to_string();
    match (written("result.json"), written("journal.jsonl")) {
        (None, None) => Err(Error::Result {
            path: folder.to_owned(),
            problem:
                "it has neither result.json nor journal.jsonl; give the folder that a run writes"
                    .to_owned(),
        }),
        (Some(result), journal) if journal.is_none_or(|journal| journal <= result) => {
            let result = &RunResult::read(&folder.join("result.json"))?;
            served_page(&[Shown { label, is_folder: true, result }])
        }
        (_, journal) => {
            let (running, evaluations) = Running::from_journal(folder)?;
            let last = journal.and_then(|journal| SystemTime::now().duration_since(journal).ok());
            let last = last.map_or_else(String::new, |last| {
                format!(", the last one {} s ago", last.as_secs())
            });
            let plans = grouped(count_to_u64(evaluations));
            let text = format!("The journal has {plans} evaluations{last}.");
            running_page(label, &running, &Now { text, ..Now::default() })
        }
    }
}
