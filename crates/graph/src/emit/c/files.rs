//! The files around the kernels: header, source, test, build rules, and a page that says what was
//! made.

use super::{
    Arena, CLayer, COptions, CValue, Golden,
    code::{Code, compiler},
    source::fill,
};
use crate::fixed_graph::FixedGraph;
use fixedwise_fixed::{Format, convert::count_to_u64};
use std::fmt::Write as _;

/// Everything the files say.
pub(super) struct Printed<'a> {
    pub(super) fixed: &'a FixedGraph,
    pub(super) options: &'a COptions,
    pub(super) input: CValue,
    pub(super) output: CValue,
    pub(super) items: String,
    pub(super) body: String,
    pub(super) arena_bytes: usize,
    pub(super) constant_bytes: usize,
    pub(super) code: &'a Code,
    pub(super) layers: &'a [CLayer],
    pub(super) golden: &'a [Golden],
}

impl Printed<'_> {
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let (name, options) = (&self.options.name, self.options);
        let (input, output) = (self.input, self.output);
        let is_callers = options.arena == Arena::Caller;
        let upper = name.to_uppercase();
        // What stands in a comment must not end it.
        let safe = |c: char| if c.is_alphanumeric() || " ._-".contains(c) { c } else { '_' };
        let model: String = self.fixed.name.chars().map(safe).collect();
        let names = [("P", name.as_str()), ("N", &upper), ("DUMP", &format!("{upper}_DUMP"))]
            .map(|(name, value)| (name, value.to_owned()));
        let fill_names = |template: &str| {
            fill(template, &names.each_ref().map(|(name, value)| (*name, value.as_str())))
        };
        let mut values = names.to_vec();
        let optimization = options.style.optimization();
        let code_bytes = self.code.bytes(options.cpu, optimization);
        let flash_bytes = count_to_u64(self.constant_bytes) + code_bytes;
        values.extend([
            ("OPTIMIZE", optimization.flag().to_owned()),
            ("CODE", code_bytes.to_string()),
            ("FLASH", flash_bytes.to_string()),
            ("STYLE", options.style.name().to_owned()),
            ("CPU", options.cpu.name().to_owned()),
            ("COMPILER", compiler(options.cpu).to_owned()),
        ]);
        values.extend(
            [
                ("INPUT_H", input.shape.h),
                ("INPUT_W", input.shape.w),
                ("INPUT_C", input.shape.c),
                ("OUTPUT_H", output.shape.h),
                ("OUTPUT_W", output.shape.w),
                ("OUTPUT_C", output.shape.c),
                // C has no object of no bytes.
                ("ARENA", self.arena_bytes.max(1)),
                ("CONSTANTS", self.constant_bytes),
                ("TESTS", self.golden.len()),
            ]
            .map(|(name, value)| (name, value.to_string())),
        );
        let arena = if is_callers { include_str!("text/arena_caller.h") } else { "" };
        let item = if is_callers { "" } else { include_str!("text/arena_static.c") };
        let declaration = if is_callers { "static $P_arena arena;\n" } else { "" };
        let sized = fill(arena, &[("P", name), ("N", &upper)]);
        values.extend([
            ("MODEL", model),
            ("X", input.ctype().to_owned()),
            ("Y", output.ctype().to_owned()),
            ("INPUT_FORMAT", format!("{:#}", input.format)),
            ("OUTPUT_FORMAT", format!("{:#}", output.format)),
            ("INPUT_BITS", input.format.bits.to_string()),
            ("INPUT_FRAC", input.format.frac.to_string()),
            ("OUTPUT_BITS", output.format.bits.to_string()),
            ("OUTPUT_FRAC", output.format.frac.to_string()),
            (
                "OVERLAP",
                if is_callers {
                    "Input, output and arena must not overlap."
                } else {
                    "Input and output must not overlap. The working memory is one\n * static array: \
                     one run at a time."
                }
                .to_owned(),
            ),
            (
                "OWNER",
                if is_callers { "" } else { ", a static array in the code: one run at a time" }
                    .to_owned(),
            ),
            ("ARENA_TYPE", sized),
            ("ARENA_ITEM", fill_names(item)),
            ("PARAMETER", fill_names(if is_callers { ", $P_arena *arena" } else { "" })),
            ("ARGUMENT", if is_callers { ", &arena" } else { "" }.to_owned()),
            ("DECLARATION", fill_names(declaration)),
            ("ITEMS", self.items.clone()),
            ("BODY", fill_names(&self.body)),
            ("VECTORS", self.vectors()),
            ("PAGE", self.page()),
        ]);
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let text = |template: &str| fill(template, &values).trim_end().to_owned() + "\n";
        let mut files = vec![
            (format!("{name}.h"), text(include_str!("text/network.h"))),
            (format!("{name}.c"), text(include_str!("text/network.c"))),
            (format!("test_{name}.c"), text(include_str!("text/test_network.c"))),
            ("Makefile".to_owned(), text(include_str!("text/Makefile.in"))),
            ("CMakeLists.txt".to_owned(), text(include_str!("text/CMakeLists.in"))),
            ("README.md".to_owned(), text(include_str!("text/README.in"))),
        ];
        if self.golden.is_empty() {
            // C has no empty arrays, and there is nothing to run.
            files.truncate(2);
        }
        files
    }

    /// Inputs and results of the test as C arrays.
    fn vectors(&self) -> String {
        let rows = |values: &dyn Fn(&Golden) -> &[i64]| -> String {
            let mut text = String::new();
            for golden in self.golden {
                text.push_str("    {\n");
                for line in values(golden).chunks(20) {
                    let numbers: Vec<String> = line.iter().map(i64::to_string).collect();
                    writeln!(text, "        {},", numbers.join(", "))
                        .expect("a string takes everything");
                }
                text.push_str("    },\n");
            }
            text
        };
        let (name, upper) = (&self.options.name, self.options.name.to_uppercase());
        format!(
            "static const {name}_input inputs[TESTS][{upper}_INPUT_SIZE] = {{\n{}}};\n\n\
             static const {name}_output results[TESTS][{upper}_OUTPUT_SIZE] = {{\n{}}};",
            rows(&|golden| &golden.input),
            rows(&|golden| &golden.output)
        )
    }

    /// The table of layers.
    fn page(&self) -> String {
        let mut page = String::from(
            "| node | layer | kernel | weights | bias | output | constants, bytes | output, bytes \
             | scratch, bytes |\n|---:|---|---|---|---|---|---:|---:|---:|\n",
        );
        let format = |format: Option<Format>, none: &str| {
            format.map_or_else(|| none.to_owned(), |format| format!("`{format}`"))
        };
        for (id, (node, layer)) in self.fixed.nodes.iter().zip(self.layers).enumerate() {
            let weights = format(layer.weights, "");
            let at_sum =
                if layer.weights.is_some() { "at the scale of the accumulator" } else { "" };
            let bias = format(layer.bias, at_sum);
            let CLayer { name, kernel, constant_bytes, value_bytes, scratch_bytes, .. } = layer;
            writeln!(
                page,
                "| {id} | {name} | {kernel} | {weights} | {bias} | {} | {constant_bytes} | {value_bytes} \
                 | {scratch_bytes} |",
                format(Some(node.format), "")
            )
            .expect("a string takes everything");
        }
        page
    }
}
