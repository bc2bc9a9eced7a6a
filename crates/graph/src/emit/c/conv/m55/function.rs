//! Functions in assembly.

use crate::emit::c::{conv::function, source::Source};

/// The largest number that an instruction adds.
pub(super) const IMMEDIATE: usize = 4095;

/// Puts a function of these instructions into the file; `plain` is the call in C that does the same.
pub(super) fn function(
    source: &mut Source,
    name: &str,
    parameters: &[&str],
    assembly: &[String],
    plain: &str,
) {
    let lines: Vec<String> = assembly.iter().map(|line| format!("        \"{line}\\n\"")).collect();
    let statement = format!("    __asm__ volatile(\n{}\n    );", lines.join("\n"));
    let plain = format!("    {plain};");
    function::function(source, "MVE", name, parameters, (&statement, &plain));
}
