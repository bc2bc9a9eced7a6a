//! The files around the kernels: header, source, test, build rules, and a page that says what was
//! made.

use super::{
    Arena, Body, CLayer, COptions, Golden, WeightCode,
    code::{Code, compiler},
    package::slug,
    ports::{CPort, each},
    source::fill,
    weight_file::{stated, words},
};
use crate::fixed_graph::FixedGraph;
use fixedwise_fixed::{Format, convert::count_to_u64};
use std::fmt::Write as _;

/// Everything the files say.
pub(super) struct Printed<'a> {
    pub(super) fixed: &'a FixedGraph,
    pub(super) options: &'a COptions,
    pub(super) inputs: &'a [CPort],
    pub(super) outputs: &'a [CPort],
    pub(super) items: String,
    pub(super) body: &'a Body,
    pub(super) arena_bytes: usize,
    pub(super) constant_bytes: usize,
    pub(super) code: &'a Code,
    pub(super) layers: &'a [CLayer],
    pub(super) golden: &'a [Golden],
    /// The file that weights lie in, where they do.
    pub(super) weight_file: Option<&'a [u8]>,
}

impl Printed<'_> {
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let (name, options) = (&self.options.name, self.options);
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
            ("OVERLAP", self.overlap()),
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
            ("RUN", fill_names(&self.run(is_callers))),
            ("ROWS_INTERFACE", self.rows_interface(is_callers)),
            ("VECTORS", self.vectors(self.golden)),
            ("FIRST_VECTORS", self.vectors(&self.golden[..self.golden.len().min(1)])),
            (
                "USE",
                fill_names(
                    &options.package.page().replace("$TESTS", &self.golden.len().to_string()),
                ),
            ),
            ("SLUG", slug(name)),
            ("LEVEL", optimization.flag().trim_start_matches("-O").to_owned()),
            // A variable of the environment, in CMake.
            ("ENV", "$ENV".to_owned()),
        ]);
        values.extend(self.file_texts());
        values.extend(self.rust_texts());
        values.extend(self.input_texts());
        values.extend(self.output_texts());
        values.extend([("PAGE", self.page())]);
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let text = |template: &str| fill(template, &values).trim_end().to_owned() + "\n";
        let files = options.package.files().iter();
        let mut files: Vec<(String, String)> =
            files.map(|(path, template)| (fill(path, &values), text(template))).collect();
        if self.golden.is_empty() {
            // C has no empty arrays, and there is nothing to run.
            files.truncate(2);
        }
        files
    }

    /// The functions that run the network.
    fn run(&self, is_callers: bool) -> String {
        let Body { begin, taking, rest, buffers } = self.body;
        let (inputs, outputs) = (self.inputs, self.outputs);
        let name = &self.options.name;
        let output = each(outputs, "$P_$L *$L", name, ", ");
        let outputs_given = each(outputs, "$L", name, ", ");
        let unused = each(outputs, "    (void)$L;\n", name, "");
        let mut memory = "    uint8_t *memory = arena->bytes;\n    (void)memory;\n".to_owned();
        let (mut result, mut done, mut guard) = ("void", "", "");
        if self.weight_file.is_some() {
            memory += "    if (!$P_file) {\n        return $N_FILE_MISSING;\n    }\n";
            (result, done) = ("int32_t", "    return 0;\n");
            guard = "    if (!$P_file) {\n        return;\n    }\n";
        }
        let (arena, given) = if is_callers { (", $P_arena *arena", ", arena") } else { ("", "") };
        if taking.is_empty() {
            let input = each(inputs, "const $P_$L *$L", name, ", ");
            return format!(
                "{result} $P_run({input}, {output}{arena})\n{{\n{memory}{buffers}{rest}{done}}}"
            );
        }
        let (only, only_given) =
            if is_callers { ("$P_arena *arena", "arena") } else { ("void", "") };
        let rest_buffers = if rest.contains("buffers") { buffers } else { "" };
        let (begun, own) = match self.weight_file {
            None => (format!("$P_begin({only_given});"), memory.clone()),
            Some(_) => (
                format!(
                    "if ($P_begin({only_given}) != 0) {{\n        return $N_FILE_MISSING;\n    }}"
                ),
                format!("    uint8_t *memory = arena->bytes;\n    (void)memory;\n{guard}"),
            ),
        };
        format!(
            "{result} $P_begin({only})\n{{\n{memory}{begin}{done}}}\n\n\
             void $P_push_row(const $P_input *row, {output}{arena})\n{{\n{own}{buffers}{taking}}}\n\n\
             void $P_end({output}{arena})\n{{\n{own}{unused}{rest_buffers}{rest}}}\n\n\
             {result} $P_run(const $P_input *input, {output}{arena})\n{{\n    {begun}\n    \
             for (int32_t i = 0; i < $N_INPUT_H; i++) {{\n        \
             $P_push_row(input + i * $N_INPUT_W * $N_INPUT_C, {outputs_given}{given});\n    }}\n    \
             $P_end({outputs_given}{given});\n{done}}}"
        )
    }

    /// The type of what functions give that need the weights.
    fn result(&self) -> &'static str {
        if self.weight_file.is_some() { "int32_t" } else { "void" }
    }

    /// What the files say of the file that weights lie in.
    fn file_texts(&self) -> Vec<(&'static str, String)> {
        let name = &self.options.name;
        let mut texts = vec![("RESULT", self.result().to_owned())];
        let Some(file) = self.weight_file else {
            texts.extend(
                [
                    "FILE_INTERFACE",
                    "FILE_WORDS",
                    "FILE_LOAD",
                    "FILE_SETUP",
                    "FILE_PAGE",
                    "FILE_USE",
                ]
                .map(|word| (word, String::new())),
            );
            return texts;
        };
        let (bytes, checksum) = stated(file);
        let bytes = bytes.to_string();
        let upper = name.to_uppercase();
        let known = [
            ("P", name.as_str()),
            ("N", &upper),
            ("FILE_BYTES", &bytes),
            ("FILE_CHECKSUM", &checksum),
        ];
        let filled = |text: &str| fill(text, &known);
        texts.extend([
            ("FILE_BYTES", bytes.clone()),
            ("FILE_INTERFACE", filled(include_str!("text/weight_file.h"))),
            (
                "FILE_WORDS",
                format!(
                    "/* The weight file. It may lie anywhere; this program has it in itself. */\n\
                     static const uint32_t weight_file[] = {{\n{}}};\n\n",
                    words(file)
                ),
            ),
            (
                "FILE_LOAD",
                filled("    if ($P_load(weight_file, (uint32_t)sizeof weight_file) != 0) {\n        return 2;\n    }\n"),
            ),
            (
                "FILE_SETUP",
                filled(
                    "    if ($P_load(weight_file, (uint32_t)sizeof weight_file) != 0) {\n        \
                     Serial.println(\"the weight file is REFUSED\");\n    }\n",
                ),
            ),
            (
                "FILE_PAGE",
                filled(
                    "- `$P.weights`, beside `$P.c`: $FILE_BYTES bytes of weights. Place them where you like, at an \
                     address divisible\n  by 4; `$P_load` takes them there, checks them once and returns 0, or why it \
                     refuses them.\n",
                ),
            ),
            ("FILE_USE", filled("$P_load(weight_file, $N_FILE_SIZE); /* once */\n")),
        ]);
        texts
    }

    /// What the header says of taking rows.
    fn rows_interface(&self, is_callers: bool) -> String {
        if self.body.taking.is_empty() {
            return String::new();
        }
        let name = &self.options.name;
        let output = each(self.outputs, "$P_$L *$L", name, ", ");
        let (arena, only) = if is_callers {
            (format!(", {name}_arena *arena"), format!("{name}_arena *arena"))
        } else {
            (String::new(), "void".to_owned())
        };
        let values = [
            ("P", name.as_str()),
            ("N", &name.to_uppercase()),
            ("OUTPUTS", &output),
            ("ARENA", &arena),
            ("ONLY", &only),
            ("RESULT", self.result()),
        ];
        fill(include_str!("text/rows_interface.h"), &values)
    }

    /// What must not lie in one place.
    fn overlap(&self) -> String {
        let name = |ports: &[CPort], one: &str| match ports {
            [_] => one.to_owned(),
            _ => format!("{one}s"),
        };
        let (inputs, outputs) = (name(self.inputs, "Input"), name(self.outputs, "output"));
        match self.options.arena {
            Arena::Caller => format!("{inputs}, {outputs} and arena must not overlap."),
            Arena::Static => format!(
                "{inputs} and {outputs} must not overlap. The working memory is one\n * static array: one \
                 run at a time."
            ),
        }
    }

    /// What the files say of the inputs.
    fn input_texts(&self) -> Vec<(&'static str, String)> {
        let name = &self.options.name;
        let all = |template: &str, between: &str| each(self.inputs, template, name, between);
        let lines = |template: &str| all(template, "\n");
        // One space more before the extents of the only input: they stand below those of the output.
        let space = if self.inputs.len() == 1 { " " } else { "" };
        vec![
            (
                "INPUT_LINES",
                lines(&format!(
                    " * Input$OF: {space}$PORT_H x $PORT_W x $PORT_C integers, rows of pixels, channels last; \
                     $PORT_FORMAT."
                )),
            ),
            ("INPUT_SIZES", all(include_str!("text/port_sizes.h").trim_end(), "\n\n")),
            ("INPUT_TYPES", lines("typedef $TYPE $P_$L;")),
            ("INPUT_PARAMETERS", all("const $P_$L *$L", ", ")),
            ("INPUT_ARGUMENTS", all("inputs$SUFFIX[test]", ", ")),
            (
                "INPUT_PAGE",
                lines(
                    "- Input$OF: $PORT_H x $PORT_W x $PORT_C `$TYPE`, channels last, `$PORT_FORMAT`.",
                ),
            ),
            ("INPUT_IMAGES", lines("static $P_$L image$SUFFIX[$N_$U_SIZE];")),
            ("INPUT_IMAGE_NAMES", all("image$SUFFIX", ", ")),
        ]
    }

    /// What the files say of the results.
    fn output_texts(&self) -> Vec<(&'static str, String)> {
        let name = &self.options.name;
        let all = |template: &str, between: &str| each(self.outputs, template, name, between);
        let is_one = self.outputs.len() == 1;
        let lines = |template: &str| all(template.trim_end(), "\n");
        let blocks = |template: &str| all(template.trim_end(), "\n\n");
        let report = if is_one {
            lines(
                "        printf(\"input %d: class %d, %d of %d integers differ\\n\", test, \
                 (int)$P_argmax(output), wrong,\n            $N_OUTPUT_SIZE);",
            )
        } else {
            format!(
                "        printf(\"input %d: %d of %d integers differ\\n\", test, wrong,\n            {});",
                all("$N_$U_SIZE", " + ")
            )
        };
        vec![
            (
                "OUTPUT_LINES",
                lines(
                    " * Output$OF: $PORT_H x $PORT_W x $PORT_C integers in the same order; \
                     $PORT_FORMAT.",
                ),
            ),
            ("OUTPUT_SIZES", blocks(include_str!("text/port_sizes.h"))),
            ("OUTPUT_TYPES", lines("typedef $TYPE $P_$L;")),
            ("OUTPUT_PARAMETERS", all("$P_$L *$L", ", ")),
            ("OUTPUT_ARGUMENTS", all("$L", ", ")),
            ("ARGMAX_DECLARATIONS", lines("int32_t $P_argmax$SUFFIX(const $P_$L *output);")),
            ("ARGMAX_FUNCTIONS", blocks(include_str!("text/argmax.c"))),
            ("OUTPUT_BUFFERS", lines("    static $P_$L $L[$N_$U_SIZE];")),
            ("OUTPUT_CHECKS", lines(include_str!("text/output_check.c"))),
            ("OUTPUT_REPORT", report),
            (
                "OUTPUT_PAGE",
                lines(
                    "- Output$OF: $PORT_H x $PORT_W x $PORT_C `$TYPE`, `$PORT_FORMAT`; real value = \
                     integer *\n  2^-($PORT_FRAC).",
                ),
            ),
            ("OUTPUT_SCORES", lines("static $P_$L scores$SUFFIX[$N_$U_SIZE];")),
            ("OUTPUT_SCORE_NAMES", all("scores$SUFFIX", ", ")),
            (
                "OUTPUT_CLASSES",
                if is_one {
                    lines("int32_t class_index = $P_argmax(scores);")
                } else {
                    lines("int32_t class$SUFFIX = $P_argmax$SUFFIX(scores$SUFFIX);")
                },
            ),
        ]
    }

    /// Inputs and results of a test as C arrays.
    fn vectors(&self, goldens: &[Golden]) -> String {
        let rows = |values: &dyn Fn(&Golden) -> &[i64]| -> String {
            let one = |golden| format!("    {{\n{}    }},\n", lines(values(golden), "        "));
            goldens.iter().map(one).collect()
        };
        let name = &self.options.name;
        let array = |port: &CPort, of: &str, values: &dyn Fn(&Golden) -> &[i64]| {
            let head = format!("static const $P_$L {of}$SUFFIX[TESTS][$N_$U_SIZE] = {{\n");
            port.fill(&head, name) + &rows(values) + "};"
        };
        let inputs = self.inputs.iter().enumerate();
        let inputs = inputs.map(|(i, port)| array(port, "inputs", &|golden| &golden.inputs[i]));
        let outputs = self.outputs.iter().enumerate();
        let outputs = outputs.map(|(i, port)| array(port, "results", &|golden| &golden.outputs[i]));
        inputs.chain(outputs).collect::<Vec<_>>().join("\n\n")
    }

    /// What a crate has of the inputs and results.
    fn rust_texts(&self) -> Vec<(&'static str, String)> {
        let name = &self.options.name;
        let (inputs, outputs) = (self.inputs, self.outputs);
        let of = |ports: &[CPort], template: &str| each(ports, template, name, ", ");
        let lines_of =
            |ports: &[CPort], template: &str| each(ports, template.trim_end(), name, "\n");
        let types = lines_of(inputs, include_str!("package/text/port.rs.in"));
        let types = types + "\n\n" + &lines_of(outputs, include_str!("package/text/port.rs.in"));
        let vector = |port: &CPort, of: &str, integers: &[i64]| {
            port.fill(&format!("static {of}: network::$RUST = [\n"), name)
                + &lines(integers, "    ")
                + "];"
        };
        let vectors = self.golden.first().map(|golden| {
            let given = inputs.iter().zip(&golden.inputs);
            let given = given.map(|(port, integers)| vector(port, "$L", integers));
            let results = outputs.iter().zip(&golden.outputs);
            let results = results.map(|(port, integers)| vector(port, "result$SUFFIX", integers));
            given.chain(results).collect::<Vec<_>>().join("\n\n")
        });
        let mut values = vec![
            ("RUST_TYPES", types),
            ("RUST_INPUT_POINTERS", of(inputs, "$L: *const $SHORT")),
            ("RUST_OUTPUT_POINTERS", of(outputs, "$L: *mut $SHORT")),
            ("RUST_INPUT_PARAMETERS", of(inputs, "$L: &$RUST")),
            ("RUST_OUTPUT_PARAMETERS", of(outputs, "$L: &mut $RUST")),
            ("RUST_INPUT_ARGUMENTS", of(inputs, "$L.as_ptr()")),
            ("RUST_OUTPUT_ARGUMENTS", of(outputs, "$L.as_mut_ptr()")),
            (
                "RUST_ARGMAX_DECLARATIONS",
                lines_of(outputs, "    fn $P_argmax$SUFFIX(output: *const $SHORT) -> i32;"),
            ),
            ("RUST_ARGMAX", lines_of(outputs, include_str!("package/text/argmax.rs.in"))),
            ("RUST_VECTORS", vectors.unwrap_or_default()),
            (
                "RUST_OUTPUT_BUFFERS",
                lines_of(outputs, "    let mut $L: network::$RUST = [0; network::$U_SIZE];"),
            ),
            ("RUST_TEST_INPUTS", of(inputs, "&$L")),
            ("RUST_TEST_OUTPUTS", of(outputs, "&mut $L")),
            ("RUST_CHECKS", lines_of(outputs, "    assert_eq!($L, result$SUFFIX);")),
            ("INPUT_SHORT", inputs.first().map_or("u8", |port| port.value.short()).to_owned()),
        ];
        values.extend(self.rust_file_texts());
        let takes_rows = !self.body.taking.is_empty();
        let with_rows = |template: &str| {
            let mut known: Vec<(&str, &str)> =
                values.iter().map(|(name, value)| (*name, value.as_str())).collect();
            known.push(("P", name));
            if takes_rows { fill(template, &known) } else { String::new() }
        };
        let rows = with_rows(include_str!("package/text/rows.rs.in"));
        let test = with_rows(include_str!("package/text/rows_test.rs.in"));
        values.extend([("RUST_ROWS", rows), ("RUST_TEST_ROWS", test)]);
        values
    }

    /// What a crate has of the file that weights lie in.
    fn rust_file_texts(&self) -> Vec<(&'static str, String)> {
        const WORDS: [&str; 9] = [
            "RUST_FILE",
            "RUST_RESULT",
            "RUST_PANICS",
            "RUST_BEGIN_PANICS",
            "RUST_RAN",
            "RUST_CHECKED",
            "RUST_BEGUN",
            "RUST_LOADED",
            "RUST_LOAD",
        ];
        let texts = match self.weight_file {
            None => ["", "", "", "", "unsafe ", "", "", "", ""].map(str::to_owned),
            Some(file) => {
                let bytes = stated(file).0.to_string();
                let known = [("P", self.options.name.as_str()), ("FILE_BYTES", &bytes)];
                let panics = |indent: &str| {
                    format!(
                        "{indent}///\n{indent}/// # Panics\n{indent}/// Where no weight file was loaded.\n"
                    )
                };
                let checked = |indent: &str| {
                    format!(";\n{indent}assert!(missing == 0, \"load a weight file first\");")
                };
                [
                    fill(include_str!("package/text/file.rs.in"), &known),
                    " -> i32".to_owned(),
                    panics(""),
                    panics("    "),
                    "let missing = unsafe ".to_owned(),
                    checked("    "),
                    checked("        "),
                    include_str!("package/text/loaded.rs.in").to_owned(),
                    "    load();\n".to_owned(),
                ]
            }
        };
        WORDS.into_iter().zip(texts).collect()
    }

    /// The table of layers.
    fn page(&self) -> String {
        let mut page = String::from(
            "| node | layer | kernel | weights | bias | output | constants, bytes | rows held | \
             output, bytes | scratch, bytes |\n|---:|---|---|---|---|---|---:|---|---:|---:|\n",
        );
        let format = |format: Option<Format>, none: &str| {
            format.map_or_else(|| none.to_owned(), |format| format!("`{format}`"))
        };
        for (id, (node, layer)) in self.fixed.nodes.iter().zip(self.layers).enumerate() {
            let mut weights = format(layer.weights, "");
            weights.push_str(match layer.weight_code {
                WeightCode::Fields => "",
                WeightCode::Digits => ", five to a byte",
                WeightCode::Codes => ", in codes",
            });
            let at_sum =
                if layer.weights.is_some() { "at the scale of the accumulator" } else { "" };
            let bias = format(layer.bias, at_sum);
            let CLayer { name, kernel, constant_bytes, value_bytes, scratch_bytes, .. } = layer;
            let rows = layer.rows.map_or_else(|| "all".to_owned(), |rows| rows.to_string());
            writeln!(
                page,
                "| {id} | {name} | {kernel} | {weights} | {bias} | {} | {constant_bytes} | {rows} of {} | \
                 {value_bytes} | {scratch_bytes} |",
                format(Some(node.format), ""),
                node.shape.h
            )
            .expect("a string takes everything");
        }
        page
    }
}

/// Integers in lines, each with a comma behind it.
fn lines(integers: &[i64], indent: &str) -> String {
    let line = |integers: &[i64]| {
        let numbers: Vec<String> = integers.iter().map(i64::to_string).collect();
        format!("{indent}{},\n", numbers.join(", "))
    };
    integers.chunks(20).map(line).collect()
}
