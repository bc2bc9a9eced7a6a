//! Tensors whose elements are in files beside the model.

use super::proto::StringEntry;
use std::collections::BTreeMap;

/// How many times its own length may be taken from an external file in all. Tensors can share
/// bytes, but a small file must not fill the memory by being named a thousand times.
const MAX_SHARING: usize = 4;

/// Files with external data, each read once.
pub(super) struct External<'a> {
    read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    files: BTreeMap<String, ExternalFile>,
}

struct ExternalFile {
    bytes: Vec<u8>,
    /// Bytes that tensors have taken so far.
    taken: usize,
}

impl<'a> External<'a> {
    pub(super) fn new(read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>) -> Self {
        Self { read, files: BTreeMap::new() }
    }

    /// The bytes at that place.
    pub(super) fn slice(&mut self, range: &ExternalRange) -> Result<&[u8], String> {
        let location = plain_location(range.location)?;
        if !self.files.contains_key(&location) {
            let bytes = (self.read)(&location)
                .map_err(|problem| format!("external data file `{location}`: {problem}"))?;
            self.files.insert(location.clone(), ExternalFile { bytes, taken: 0 });
        }
        let file = self.files.get_mut(&location).expect("it was inserted above");
        let slice = range.of(&file.bytes)?;
        file.taken = file.taken.saturating_add(slice.len());
        if file.taken / MAX_SHARING > file.bytes.len() {
            return Err(format!(
                "external data file `{location}` is used more than {MAX_SHARING} times over; give \
                 each tensor its own bytes"
            ));
        }
        Ok(slice)
    }
}

/// The location without `.`; refuses whatever could point outside the model's own folder.
fn plain_location(location: &str) -> Result<String, String> {
    let parts: Vec<&str> = location.split('/').filter(|&part| part != ".").collect();
    let is_plain = !parts.is_empty()
        && parts.iter().all(|&part| !part.is_empty() && part != "..")
        && !location.contains(['\\', ':', '\0']);
    if is_plain {
        Ok(parts.join("/"))
    } else {
        Err(format!(
            "external data location `{}` is not a relative path inside the model's own folder",
            location.escape_default()
        ))
    }
}

/// Where in which file the elements are.
pub(super) struct ExternalRange<'a> {
    location: &'a str,
    offset: usize,
    length: Option<usize>,
}

impl<'a> ExternalRange<'a> {
    pub(super) fn new(entries: &'a [StringEntry]) -> Result<Self, String> {
        let mut range = Self { location: "", offset: 0, length: None };
        let number = |entry: &StringEntry| {
            entry.value.parse().map_err(|_| {
                format!("external data {} `{}` is not a number", entry.key, entry.value)
            })
        };
        for entry in entries {
            match entry.key.as_str() {
                "location" => range.location = &entry.value,
                "offset" => range.offset = number(entry)?,
                "length" => range.length = Some(number(entry)?),
                // A checksum says nothing about where the elements are.
                "checksum" => {}
                key => return Err(format!("external data entry `{key}` is not known")),
            }
        }
        Ok(range)
    }

    fn of<'f>(&self, file: &'f [u8]) -> Result<&'f [u8], String> {
        let end = match self.length {
            Some(length) => self.offset.checked_add(length),
            None => Some(file.len()),
        };
        end.and_then(|end| file.get(self.offset..end)).ok_or_else(|| {
            format!(
                "external data file `{}` has {} bytes, too few for offset {} and length {}",
                self.location,
                file.len(),
                self.offset,
                self.length.map_or_else(|| "unknown".to_owned(), |n| n.to_string())
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(location: &str) -> Result<Vec<u8>, String> {
        match location {
            "w.bin" => Ok((0..12).collect()),
            _ => Err("no such file".to_owned()),
        }
    }

    fn slice(external: &mut External, entries: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let entries: Vec<StringEntry> = entries
            .iter()
            .map(|&(key, value)| StringEntry { key: key.to_owned(), value: value.to_owned() })
            .collect();
        external.slice(&ExternalRange::new(&entries)?).map(<[u8]>::to_vec)
    }

    #[test]
    fn ranges_are_taken_from_the_file() {
        for (entries, expected) in [
            (vec![("location", "w.bin")], 0..12),
            (vec![("location", "w.bin"), ("length", "8")], 0..8),
            (vec![("location", "./w.bin"), ("offset", "4"), ("checksum", "?")], 4..12),
            (vec![("location", "w.bin"), ("offset", "4"), ("length", "1")], 4..5),
            (vec![("location", "w.bin"), ("offset", "12"), ("length", "0")], 12..12),
        ] {
            let bytes = slice(&mut External::new(&file), &entries).unwrap();
            assert_eq!(bytes, expected.collect::<Vec<u8>>(), "{entries:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let huge = usize::MAX.to_string();
        for (entries, expected) in [
            (vec![], "location `` is not"),
            (vec![("location", "v.bin")], "external data file `v.bin`: no such file"),
            (vec![("location", "w.bin"), ("offset", "8"), ("length", "8")], "too few for offset 8"),
            (vec![("location", "w.bin"), ("offset", &huge), ("length", &huge)], "too few"),
            (vec![("location", "w.bin"), ("offset", "13")], "length unknown"),
            (vec![("location", "w.bin"), ("offset", "-1")], "offset `-1` is not a number"),
            (vec![("location", "w.bin"), ("key", "")], "`key` is not known"),
        ] {
            let problem = slice(&mut External::new(&file), &entries).unwrap_err();
            assert!(problem.contains(expected), "{entries:?}: {problem}");
        }
    }

    #[test]
    fn locations_outside_the_folder_are_refused() {
        for (location, expected) in [
            ("w.bin", Some("w.bin")),
            ("a/b c.bin", Some("a/b c.bin")),
            ("./a/./..w", Some("a/..w")),
            ("", None),
            (".", None),
            ("..", None),
            ("../w.bin", None),
            ("a/../../w.bin", None),
            ("/etc/passwd", None),
            ("a//b", None),
            ("a/", None),
            ("C:w.bin", None),
            ("\\\\host\\w.bin", None),
            ("a\\..\\w.bin", None),
            ("file:w.bin", None),
            ("w\0.bin", None),
        ] {
            let plain = plain_location(location).ok();
            assert_eq!(plain.as_deref(), expected, "{location:?}");
        }
    }

    #[test]
    fn a_small_file_cannot_fill_the_memory() {
        let calls = std::cell::Cell::new(0);
        let file = |_: &str| {
            calls.set(calls.get() + 1);
            Ok(vec![0; 8])
        };
        let mut external = External::new(&file);
        let w = [("location", "w.bin")];
        for _ in 0..MAX_SHARING {
            assert!(slice(&mut external, &w).is_ok());
        }
        let problem = (0..MAX_SHARING).find_map(|_| slice(&mut external, &w).err()).unwrap();
        assert!(problem.contains("used more than 4 times over"), "{problem}");
        assert_eq!(calls.get(), 1);
    }
}
