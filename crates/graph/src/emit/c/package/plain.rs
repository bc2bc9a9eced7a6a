//! Code, test and build rules in one folder.

use super::layout::{HEADER, Layout, PAGE, SOURCE, TEST, allow};

pub(super) const LAYOUT: Layout = Layout {
    name: "plain",
    files: &[
        ("$P.h", HEADER),
        ("$P.c", SOURCE),
        ("test_$P.c", TEST),
        ("Makefile", include_str!("../text/Makefile.in")),
        ("CMakeLists.txt", include_str!("../text/CMakeLists.in")),
        ("README.md", PAGE),
    ],
    manifest: "CMakeLists.txt",
    page: "- `$P.h`, `$P.c`: add these two files to your project.
- `test_$P.c`: $TESTS inputs with expected results; `make test` compiles and runs the test.",
    refuse: allow,
};
