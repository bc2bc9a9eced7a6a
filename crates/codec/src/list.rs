//! Lists of files and their labels, as CSV: `path,label`, with or without a line of names.

use crate::convert::count_to_u64;
use csv::{ReaderBuilder, StringRecord};

/// A file in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where in the list, counted from one.
    pub line: u64,
    /// The file, as the list has it.
    pub path: String,
    /// Its label, where the list has labels.
    pub label: Option<String>,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ListError {
    /// Where in the list, counted from one.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
}

const PATHS: [&str; 5] = ["path", "file", "filename", "image", "image_path"];
const LABELS: [&str; 4] = ["label", "class", "class_id", "target"];

/// Reads a list; the first line gives names where it has one for the paths and one for the labels.
///
/// # Errors
/// [`ListError`] naming the line that is not `path,label` (or `path` alone in every line).
///
/// ```
/// let list = fixedwise_codec::list::read(b"path,label\na.png,3\n").unwrap();
/// assert_eq!((list[0].line, list[0].path.as_str(), list[0].label.as_deref()), (2, "a.png", Some("3")));
/// ```
pub fn read(bytes: &[u8]) -> Result<Vec<Entry>, ListError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let mut entries: Vec<Entry> = Vec::new();
    let mut columns = (0, Some(1));
    let mut n_columns = None;
    let mut record = StringRecord::new();
    let wrong = |line: u64, problem: String| ListError { line, problem };
    let mut lines = Lines { bytes, at: 0, line: 1 };
    loop {
        let line = lines.line_at(reader.position().byte());
        let is_more = reader
            .read_record(&mut record)
            .map_err(|_| wrong(line, "it is not UTF-8 text".to_owned()))?;
        if !is_more {
            return Ok(entries);
        }
        let n = record.len();
        let is_first = n_columns.is_none();
        let expected = *n_columns.get_or_insert(n);
        if n != expected || n > 2 {
            return Err(wrong(line, format!("{n} fields instead of `path,label`")));
        }
        if is_first && let Some(named) = header(&record) {
            columns = named;
            continue;
        }
        if is_first && n == 1 {
            columns = (0, None);
        }
        let field = |at: usize| record.get(at).unwrap_or_default().to_owned();
        let (path, label) = (field(columns.0), columns.1.map(field));
        if path.is_empty() || label.as_deref() == Some("") {
            let what = if path.is_empty() { "path" } else { "label" };
            return Err(wrong(line, format!("the {what} is empty")));
        }
        if path.contains('\n') {
            return Err(wrong(line, "its path has a line break; a quote is not closed".to_owned()));
        }
        entries.push(Entry { line, path, label });
    }
}

/// Counts lines: the reader itself counts a `\r\n` late.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the first character that is not a line break, from that position on.
    fn line_at(&mut self, byte: u64) -> u64 {
        let from = usize::try_from(byte).unwrap_or(usize::MAX).min(self.bytes.len());
        let is_break = |b: &&u8| matches!(**b, b'\r' | b'\n');
        let end = from + self.bytes[from..].iter().take_while(is_break).count();
        let passed = self.bytes.get(self.at..end).unwrap_or_default();
        // `\n`, `\r\n` and, as old files have it, `\r` alone.
        let is_end = |i: usize| match passed[i] {
            b'\n' => true,
            b'\r' => passed.get(i + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += count_to_u64((0..passed.len()).filter(|&i| is_end(i)).count());
        self.at = end.max(self.at);
        self.line
    }
}

/// Where the columns are, if that line names them.
fn header(record: &StringRecord) -> Option<(usize, Option<usize>)> {
    let is_one = |names: &[&str], at: usize| {
        record.get(at).is_some_and(|field| names.contains(&field.to_ascii_lowercase().as_str()))
    };
    match record.len() {
        1 if is_one(&PATHS, 0) => Some((0, None)),
        2 if is_one(&PATHS, 0) && is_one(&LABELS, 1) => Some((0, Some(1))),
        2 if is_one(&LABELS, 0) && is_one(&PATHS, 1) => Some((1, Some(0))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: u64, path: &str, label: Option<&str>) -> Entry {
        Entry { line, path: path.to_owned(), label: label.map(str::to_owned) }
    }

    #[test]
    fn lists_are_read_with_and_without_names() {
        let cases: [(&str, Vec<Entry>); 6] = [
            ("", vec![]),
            (
                "a.png,3\nb.png,cat",
                vec![entry(1, "a.png", Some("3")), entry(2, "b.png", Some("cat"))],
            ),
            ("Label,File\r\n3, a.png\r\n", vec![entry(2, "a.png", Some("3"))]),
            (
                "\u{feff}path,label\n\n\"a,\"\"b\"\".png\",1\n",
                vec![entry(3, "a,\"b\".png", Some("1"))],
            ),
            ("a.png\nb.png\n", vec![entry(1, "a.png", None), entry(2, "b.png", None)]),
            ("path\na.png\n", vec![entry(2, "a.png", None)]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn other_lines_are_refused() {
        let cases: [(&[u8], &str); 7] = [
            (b"a.png,1\nb.png\n", "line 2: 1 fields instead of `path,label`"),
            (b"a.png,1,2\n", "line 1: 3 fields"),
            (b"path,label\na.png,\n", "line 2: the label is empty"),
            (b"a.png,1\rb.png,2\r\n\r\n,", "line 4: the path is empty"),
            (b"a.png,1\n,1\n", "line 2: the path is empty"),
            (b"a.png,1\n\xff\xfe,1\n", "line 2: it is not UTF-8"),
            (b"a\n\"b\nc\n", "line 2: its path has a line break"),
        ];
        for (bytes, expected) in cases {
            let Err(error) = read(bytes) else { panic!("{bytes:?} is read") };
            assert!(error.to_string().contains(expected), "expected {expected}, got {error}");
        }
    }
}
