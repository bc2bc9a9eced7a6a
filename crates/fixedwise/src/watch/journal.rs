//! `journal.jsonl`: every finished evaluation, so that a run can be resumed.
//!
//! The first line says which run it is of; a file of another run is refused, not mixed.

use crate::{
    error::Error,
    files::{io_error, read},
};
use fixedwise_search::JournalEntry;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
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

/// Entries wait no longer than this for the disk; an end of the process alone loses none.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    synced: Instant,
}

impl Journal {
    /// A new journal, in place of any that stood there.
    pub(crate) fn create(path: &Path, config: &str) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| io_error("write", path, source))?;
        let mut journal = Self { path: path.to_owned(), file, synced: Instant::now() };
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
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
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
            .map(|(i, line)| {
                serde_json::from_slice(line)
                    .map_err(|error| broken(i + 2, error.to_string().as_str()))
            })
            .collect::<Result<Vec<JournalEntry>, Error>>()?;
        let failed = |source| io_error("write", path, source);
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        let end = fixedwise_fixed::convert::count_to_u64(whole);
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file, synced: Instant::now() }, entries))
    }

    /// Writes one evaluation down.
    pub(crate) fn append(&mut self, entry: &JournalEntry) -> Result<(), Error> {
        self.line(entry)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(value).expect("every key is a string");
        line.push(b'\n');
        let mut result = self.file.write_all(&line);
        if result.is_ok() && self.synced.elapsed() >= SYNC_INTERVAL {
            result = self.file.sync_data();
            self.synced = Instant::now();
        }
        result.map_err(|source| io_error("write", &self.path, source))
    }
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
        let (mut journal, entries) = Journal::resume(&path, "run").unwrap();
        assert_eq!(entries, []);
        journal.append(&entry(40)).unwrap();
        journal.append(&entry(60)).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for torn in [&b""[..], b"{\"dig", b"{\"digest\":\"00\"}"] {
            std::fs::write(&path, [&whole, torn].concat()).unwrap();
            let (mut journal, entries) = Journal::resume(&path, "run").unwrap();
            assert_eq!(entries, [entry(40), entry(60)]);
            journal.append(&entry(70)).unwrap();
            drop(journal);
            assert_eq!(Journal::resume(&path, "run").unwrap().1.len(), 3);
        }
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
