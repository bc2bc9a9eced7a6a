//! What a layout is made of, and the texts that all share.

/// What a package is made of.
pub(super) struct Layout {
    /// As a user writes it.
    pub(super) name: &'static str,
    /// Paths and templates, the header first, then the source; a path may name `$P`.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// The file that says what the folder is.
    pub(super) manifest: &'static str,
    /// What the page says of how the code is used.
    pub(super) page: &'static str,
    /// What is wrong with a name, or with a static arena, where that is given.
    pub(super) refuse: fn(&str, bool) -> Option<String>,
}

/// No name is refused that C allows.
pub(super) fn allow(_: &str, _: bool) -> Option<String> {
    None
}

/// The text of every package's header, source, page and test.
pub(super) const HEADER: &str = include_str!("../text/network.h");
pub(super) const SOURCE: &str = include_str!("../text/network.c");
pub(super) const PAGE: &str = include_str!("../text/README.in");
pub(super) const TEST: &str = include_str!("../text/test_network.c");
