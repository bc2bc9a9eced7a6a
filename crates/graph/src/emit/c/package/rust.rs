//! A crate that compiles the C code, with a safe interface.

use super::layout::{HEADER, Layout, PAGE, SOURCE};

pub(super) const LAYOUT: Layout = Layout {
    name: "rust",
    files: &[
        ("c/$P.h", HEADER),
        ("c/$P.c", SOURCE),
        ("Cargo.toml", include_str!("text/Cargo.toml.in")),
        ("build.rs", include_str!("text/build.rs.in")),
        ("src/lib.rs", include_str!("text/lib.rs.in")),
        ("tests/known.rs", include_str!("text/known.rs.in")),
        ("README.md", PAGE),
    ],
    manifest: "Cargo.toml",
    page: "- Depend on this folder: `$P = { path = \"...\" }`; `$P::run` computes an output. It needs no `std`.
- `cargo test` runs an input with an expected result.
- `c`: the code, which `build.rs` compiles.",
    refuse,
};

/// Words that no crate is called: keywords, reserved ones, and crates that come with the language.
const WORDS: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

fn refuse(name: &str, has_static_arena: bool) -> Option<String> {
    if has_static_arena {
        return Some("one static arena is not safe; leave `--arena static` out".to_owned());
    }
    let is_word = WORDS.contains(&name) || name == "Self";
    is_word.then(|| format!("`{name}` is a word of the language or one of its crates"))
}
