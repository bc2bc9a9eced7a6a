//! Functions in assembly, each beside the same in C.

use crate::emit::c::source::{Source, fill};

/// The largest number that an instruction adds.
pub(super) const IMMEDIATE: usize = 4095;

/// Puts a function of these instructions into the file, once under its name; `plain` is the statement in C
/// that does the same.
pub(super) fn function(
    source: &mut Source,
    name: &str,
    parameters: &[&str],
    assembly: &[String],
    plain: &str,
) {
    let hidden: Vec<String> =
        parameters.iter().map(|p| format!("__attribute__((unused)) {p}")).collect();
    let lines: Vec<String> = assembly.iter().map(|line| format!("        \"{line}\\n\"")).collect();
    let text = fill(
        include_str!("function.c"),
        &[
            ("P", "$P"),
            ("NAME", name),
            ("ASSEMBLY_PARAMETERS", &hidden.join(",\n    ")),
            ("ASSEMBLY_TEXT", &lines.join("\n")),
            ("PARAMETERS", &parameters.join(", ")),
            ("PLAIN", plain),
        ],
    );
    source.once(name, text);
}
