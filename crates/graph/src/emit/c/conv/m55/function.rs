//! Functions in assembly.

use crate::emit::c::{code::thumb, conv::function, source::Source};

/// The largest number that an instruction adds.
pub(super) const IMMEDIATE: usize = 4095;

/// Puts a function of these instructions into the file; `plain` is the call in C that does the same, `turns` are those of
/// its loops by their labels.
pub(super) fn function(
    source: &mut Source,
    name: &str,
    parameters: &[&str],
    assembly: &[String],
    plain: &str,
    turns: &[(&str, usize)],
) {
    let statement = statement(assembly);
    let plain = format!("    {plain};");
    function::function(source, "MVE", name, parameters, (&statement, &plain), turns);
}

/// How many instructions a call executes, for loops that run so often by their labels.
pub(super) fn executed(assembly: &[String], turns: &[(&str, usize)]) -> usize {
    thumb::executed(&statement(assembly), turns)
}

fn statement(assembly: &[String]) -> String {
    let lines: Vec<String> = assembly.iter().map(|line| format!("        \"{line}\\n\"")).collect();
    format!("    __asm__ volatile(\n{}\n    );", lines.join("\n"))
}
