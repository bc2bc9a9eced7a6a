//! Names that are unique in a file.

use std::collections::BTreeSet;

/// Which names a file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Any text.
    Any,
    /// Letters, digits and underscores, not beginning with a digit.
    Identifier,
}

/// The names that a file has so far.
#[derive(Debug)]
pub(super) struct Names {
    alphabet: Alphabet,
    taken: BTreeSet<String>,
}

impl Names {
    pub(super) fn new(alphabet: Alphabet) -> Self {
        Self { alphabet, taken: BTreeSet::new() }
    }

    /// `wanted`, or `wanted_2` and so on where that is taken.
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        let wanted = match self.alphabet {
            Alphabet::Any if wanted.is_empty() => "node".to_owned(),
            Alphabet::Any => wanted.to_owned(),
            // hls4ml keeps this name for itself.
            Alphabet::Identifier if wanted == "input" => "input_layer".to_owned(),
            Alphabet::Identifier => identifier(wanted),
        };
        let numbered = (2..).map(|i| format!("{wanted}_{i}"));
        let name = std::iter::once(wanted.clone())
            .chain(numbered)
            .find(|name| !self.taken.contains(name))
            .expect("there are endless numbers");
        self.taken.insert(name.clone());
        name
    }
}

/// `name` in letters, digits and underscores, not beginning with a digit.
pub fn identifier(name: &str) -> String {
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(allowed).collect();
    match name.chars().next() {
        None => "node".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("node_{name}"),
        Some(_) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_their_alphabet() {
        let mut names = Names::new(Alphabet::Identifier);
        let all = ["/a/Conv", "a_Conv", "a.Conv", "1x1", "", "é", "_b"].map(|x| names.unique(x));
        assert_eq!(all, ["a_Conv", "a_Conv_2", "a_Conv_3", "node_1x1", "node", "node_2", "b"]);
        assert_eq!(names.unique("input"), "input_layer");
        let mut names = Names::new(Alphabet::Any);
        let all = ["/a/Conv", "/a/Conv", "", "/a/Conv_2"].map(|x| names.unique(x));
        assert_eq!(all, ["/a/Conv", "/a/Conv_2", "node", "/a/Conv_2_2"]);
    }
}
