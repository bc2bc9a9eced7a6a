//! A library of the Arduino IDE.
//!
//! Source: Arduino library specification, revision 2.2.

use super::layout::{HEADER, Layout, PAGE, SOURCE};

pub(super) const LAYOUT: Layout = Layout {
    name: "arduino",
    files: &[
        ("src/$P.h", HEADER),
        ("src/$P.c", SOURCE),
        ("library.properties", include_str!("text/library.properties")),
        ("examples/$P_check/$P_check.ino", include_str!("text/check.ino")),
        ("README.md", PAGE),
    ],
    manifest: "library.properties",
    page: "- Put this folder into the folder `libraries` of your sketchbook, and `#include <$P.h>` in a sketch.
- `examples/$P_check`: a sketch that runs an input with an expected result.",
    refuse,
};

/// Names that begin so are those of official libraries.
fn refuse(name: &str, _: bool) -> Option<String> {
    let is_official = name.to_ascii_lowercase().starts_with("arduino");
    is_official.then(|| {
        format!("`{name}`: names that begin with `Arduino` are those of official libraries")
    })
}
