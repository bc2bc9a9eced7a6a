//! The layouts in which firmware projects expect code: each is a table of files, whose templates are filled with the
//! same words, and a rule for names.

mod arduino;
mod esp_idf;
mod layout;
mod plain;
mod platformio;
mod rust;
mod zephyr;

use crate::error::EmitError;
use layout::Layout;
pub(super) use platformio::slug;

/// The layout of a printed network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Package {
    /// A folder with code, test and build rules.
    #[default]
    Plain,
    /// A library of the Arduino IDE, with an example sketch.
    Arduino,
    /// A module of Zephyr.
    Zephyr,
    /// A component of ESP-IDF.
    EspIdf,
    /// A library of `PlatformIO`.
    Platformio,
    /// A crate that compiles the C code, with a safe interface.
    Rust,
}

impl Package {
    const fn layout(self) -> &'static Layout {
        match self {
            Self::Plain => &plain::LAYOUT,
            Self::Arduino => &arduino::LAYOUT,
            Self::Zephyr => &zephyr::LAYOUT,
            Self::EspIdf => &esp_idf::LAYOUT,
            Self::Platformio => &platformio::LAYOUT,
            Self::Rust => &rust::LAYOUT,
        }
    }

    /// The file that says what its folder is.
    pub const fn manifest(self) -> &'static str {
        self.layout().manifest
    }

    /// Paths and templates, the header first, then the source.
    pub(super) const fn files(self) -> &'static [(&'static str, &'static str)] {
        self.layout().files
    }

    /// What its page says of how the code is used.
    pub(super) const fn page(self) -> &'static str {
        self.layout().page
    }

    /// Refuses names that its tools refuse, and a static arena where that is not safe.
    pub(super) fn check(self, name: &str, has_static_arena: bool) -> Result<(), EmitError> {
        let Layout { name: package, refuse, .. } = self.layout();
        match refuse(name, has_static_arena) {
            None => Ok(()),
            Some(problem) => Err(EmitError::Package { package, problem }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_package_refuses_are_named() {
        let long = "n".repeat(51);
        for (package, name, expected) in [
            (Package::Plain, "async", None),
            (Package::Arduino, "arduino_net", Some("begin with `Arduino`")),
            (Package::Zephyr, "arduino_net", None),
            (Package::EspIdf, "fn", None),
            (Package::Platformio, long.as_str(), Some("50 characters")),
            (Package::Rust, "async", Some("`async`")),
            (Package::Rust, "core", Some("`core`")),
            (Package::Rust, "net", None),
        ] {
            let problem = package.check(name, false).err().map(|e| e.to_string());
            match expected {
                None => assert_eq!(problem, None),
                Some(expected) => {
                    let problem = problem.expect(name);
                    let is_named = problem.contains(package.layout().name);
                    assert!(problem.contains(expected) && is_named, "{problem}");
                }
            }
        }
        assert!(Package::Rust.check("net", true).is_err());
        assert!(Package::Arduino.check("net", true).is_ok());
    }
}
