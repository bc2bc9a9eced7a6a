//! Functions in assembly, each beside the same in C.

use crate::emit::c::{
    code::thumb,
    source::{Source, fill},
};

/// Puts a function into the file, once under its name: the statements of `assembly` where the core has the
/// extension, `DSP` or `MVE`, elsewhere those of `plain`, which do the same. What defines `$P_HAS_DSP` or
/// `$P_HAS_MVE`, `$P_ASSEMBLY` and `$P_UNUSED` stands before it. `turns` says how often the loops of `assembly` run that
/// begin with a label.
pub(super) fn function(
    source: &mut Source,
    extension: &str,
    name: &str,
    parameters: &[&str],
    (assembly, plain): (&str, &str),
    turns: &[(&str, usize)],
) {
    let hidden: Vec<_> = parameters.iter().map(|p| format!("$P_UNUSED {p}")).collect();
    let text = fill(
        include_str!("function.c"),
        &[
            ("P", "$P"),
            ("EXTENSION", extension),
            ("NAME", name),
            ("ASSEMBLY_PARAMETERS", &hidden.join(",\n    ")),
            ("ASSEMBLY_TEXT", assembly),
            ("PARAMETERS", &parameters.join(",\n    ")),
            ("PLAIN", plain),
        ],
    );
    let executed = if source.is_draft() { 0 } else { thumb::executed(assembly, turns) };
    source.assembly(name, &text, thumb::bytes(assembly), executed);
}
