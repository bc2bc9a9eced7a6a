//! A library of `PlatformIO`.
//!
//! Source: `PlatformIO` documentation, library.json.

use super::layout::{HEADER, Layout, PAGE, SOURCE, TEST};

pub(super) const LAYOUT: Layout = Layout {
    name: "platformio",
    files: &[
        ("include/$P.h", HEADER),
        ("src/$P.c", SOURCE),
        ("library.json", include_str!("text/library.json")),
        ("examples/check/check.c", TEST),
        ("README.md", PAGE),
    ],
    manifest: "library.json",
    page: "- Put this folder into the folder `lib` of your project, and include `$P.h`.
- `examples/check`: a program that runs $TESTS inputs with expected results.",
    refuse,
};

/// Characters of a name.
const MOST: usize = 50;

fn refuse(name: &str, _: bool) -> Option<String> {
    let count = slug(name).len();
    (count > MOST)
        .then(|| format!("`{name}` has {count} characters; a name has at most {MOST} characters"))
}

/// A name as libraries have it: small letters, digits, single dashes inside.
pub(in crate::emit::c) fn slug(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_are_single_and_inside() {
        assert_eq!(slug("Fashion__small_2_"), "fashion-small-2");
    }
}
