//! A component of ESP-IDF.
//!
//! Source: ESP-IDF programming guide, Build System; IDF Component Manager, `idf_component.yml`.

use super::layout::{HEADER, Layout, PAGE, SOURCE, TEST, allow};

pub(super) const LAYOUT: Layout = Layout {
    name: "esp-idf",
    files: &[
        ("include/$P.h", HEADER),
        ("src/$P.c", SOURCE),
        ("CMakeLists.txt", include_str!("text/esp_idf.cmake")),
        ("idf_component.yml", include_str!("text/idf_component.yml")),
        ("examples/check/CMakeLists.txt", include_str!("text/esp_idf_example.cmake")),
        ("examples/check/main/CMakeLists.txt", include_str!("text/esp_idf_main.cmake")),
        ("examples/check/main/main.c", include_str!("text/esp_idf_main.c")),
        ("examples/check/main/test_$P.h", TEST),
        ("README.md", PAGE),
    ],
    manifest: "idf_component.yml",
    page: "- Put this folder into the folder `components` of your project, and include `$P.h`. The folder's name is that of the
  component.
- `examples/check`: a project that runs $TESTS inputs with expected results.",
    refuse: allow,
};
