//! `journal.jsonl`: every finished evaluation, so that a run can be resumed, and every plan, so that others see it go on.
//!
//! The first line says which run it is of; a file of another run is refused, not mixed.

use crate::{
    error::Error,
    files::{io_error, read},
    result::RunResult,
};
use fixedwise_search::{JournalEntry, strategies::pareto::FrontPlan};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

#[derive(Serialize, Deserialize)]
struct Header {
    /// The format of this file.
    journal: u32,
    /// Hash of everything that the measured values depend on.
    config: String,
}

const VERSION: u32 = 1;

/// A line for onlookers, which a resumed run passes over.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// What is known of the run before its search.
    Run(Box<RunResult>),
    /// A plan that was measured as a whole.
    Plan {
        /// What it costs and loses.
        plan: FrontPlan,
        /// Whether it is the best so far.
        is_best: bool,
    },
}

/// Entries wait no longer than this for the disk; an end of the process alone loses none.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// With the time when it was last on the disk.
    file: Mutex<(File, Instant)>,
}

impl Journal {
    fn of(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), file: Mutex::new((file, Instant::now())) }
    }

    /// A new journal, in place of any that stood there.
    pub(crate) fn create(path: &Path, config: &str) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| io_error("write", path, source))?;
        let journal = Self::of(path, file);
        journal.line(&Header { journal: VERSION, config: config.to_owned() })?;
        Ok(journal)
    }

    /// Goes on with a journal, where there is one of the same run, else begins one.
    ///
    /// What follows the last whole line, torn by the end of the earlier run, is dropped.
    pub(crate) fn resume(path: &Path, config: &str) -> Result<(Self, Vec<JournalEntry>), Error> {
        if !path.exists() {
            return Ok((Self::create(path, config)?, Vec::new()));
        }
        let bytes = read(path)?;
        let whole = whole(&bytes);
        if whole == 0 {
            return Ok((Self::create(path, config)?, Vec::new()));
        }
        let broken = |line: usize, problem: &str| Error::Journal {
            path: path.to_owned(),
            problem: format!("line {line}: {problem}"),
        };
        let mut lines = bytes[..whole - 1].split(|&byte| byte == b'\n');
        let header = lines.next().unwrap_or_default();
        match serde_json::from_slice::<Header>(header) {
            Ok(header) if header.journal == VERSION && header.config == config => {}
            Ok(header) if header.journal == VERSION => {
                return Err(broken(1, "it belongs to another model, other data or other options"));
            }
            _ => return Err(broken(1, "it is not a journal of this version")),
        }
        let entries = lines
            .enumerate()
            .filter(|(_, line)| serde_json::from_slice::<Told>(line).is_err())
            .map(|(i, line)| {
                serde_json::from_slice(line)
                    .map_err(|error| broken(i + 2, error.to_string().as_str()))
            })
            .collect::<Result<Vec<JournalEntry>, Error>>()?;
        let failed = |source| io_error("write", path, source);
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        let end = fixedwise_fixed::convert::count_to_u64(whole);
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(failed)?;
        Ok((Self::of(path, file), entries))
    }

    /// Writes one evaluation down.
    pub(crate) fn append(&self, entry: &JournalEntry) -> Result<(), Error> {
        self.line(entry)
    }

    /// Writes something down for onlookers; where that fails, the next evaluation says so.
    pub(crate) fn tell(&self, told: &Told) {
        let _ = self.line(told);
    }

    fn line(&self, value: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(value).expect("every key is a string");
        line.push(b'\n');
        let (file, synced) = &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut result = file.write_all(&line);
        if result.is_ok() && synced.elapsed() >= SYNC_INTERVAL {
            result = file.sync_data();
            *synced = Instant::now();
        }
        result.map_err(|source| io_error("write", &self.path, source))
    }
}

/// Bytes up to the end of the last whole line; what follows was torn by the end of a run.
fn whole(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

/// What a journal tells onlookers, and how many evaluations it has.
///
/// # Errors
/// [`Error`] for a file that cannot be read or is no journal.
pub(crate) fn told(path: &Path) -> Result<(Vec<Told>, usize), Error> {
    let bytes = read(path)?;
    let mut lines = bytes[..whole(&bytes)].split(|&byte| byte == b'\n');
    let header = lines.next().and_then(|line| serde_json::from_slice::<Header>(line).ok());
    if header.is_none_or(|header| header.journal != VERSION) {
        let problem = "line 1: it is not a journal of this version".to_owned();
        return Err(Error::Result { path: path.to_owned(), problem });
    }
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let told: Vec<Told> =
        lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let evaluations = lines.len() - told.len();
    Ok((told, evaluations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_search::Digest;
    use fixedwise_search::Score;
    use std::collections::BTreeMap;

    fn entry(correct: usize) -> JournalEntry {
        let score = Score { correct, lost: 3, gained: 1, n: 100, expected: -7, ..Score::default() };
        let digest = Digest::new().bytes(&correct.to_le_bytes());
        JournalEntry { digest, score, is_complete: correct > 50, classes: BTreeMap::new() }
    }

    #[test]
    fn a_run_is_resumed_where_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let (journal, entries) = Journal::resume(&path, "run").unwrap();
        assert_eq!(entries, []);
        journal.append(&entry(40)).unwrap();
        journal.append(&entry(60)).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for torn in [&b""[..], b"{\"dig", b"{\"digest\":\"00\"}"] {
            std::fs::write(&path, [&whole, torn].concat()).unwrap();
            let (journal, entries) = Journal::resume(&path, "run").unwrap();
            assert_eq!(entries, [entry(40), entry(60)]);
            journal.append(&entry(70)).unwrap();
            drop(journal);
            assert_eq!(Journal::resume(&path, "run").unwrap().1.len(), 3);
        }
    }

    #[test]
    fn what_is_told_to_onlookers_is_passed_over_by_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::create(&path, "run").unwrap();
        journal.tell(&Told::Run(Box::default()));
        journal.append(&entry(40)).unwrap();
        let plan = FrontPlan { memory_bits: 7, ..FrontPlan::default() };
        journal.tell(&Told::Plan { plan: plan.clone(), is_best: true });
        drop(journal);
        let (seen, evaluations) = told(&path).unwrap();
        assert_eq!(evaluations, 1);
        assert!(matches!(&seen[0], Told::Run(run) if **run == RunResult::default()));
        assert!(matches!(&seen[1], Told::Plan { plan: seen, is_best: true } if *seen == plan));
        assert_eq!(Journal::resume(&path, "run").unwrap().1, [entry(40)]);
        std::fs::write(&path, "{\"journal\":0}\n").unwrap();
        assert!(told(&path).is_err());
    }

    #[test]
    fn a_journal_of_another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        drop(Journal::create(&path, "one").unwrap());
        let error = Journal::resume(&path, "other").unwrap_err().to_string();
        assert!(error.contains("journal.jsonl") && error.contains("another model"), "{error}");
        std::fs::write(&path, "something else\n").unwrap();
        assert!(Journal::resume(&path, "one").is_err());
        drop(Journal::create(&path, "one").unwrap());
        assert!(Journal::resume(&path, "one").is_ok());
    }
}
