//! Every result as text stays within the width of its terminal and keeps its layers apart.

use fixedwise::{
    BudgetResult, BudgetStep, CExported, CExportedLayer, ClockResult, CodeResult, DeclaredBy,
    DeviceResult, Explanation, FloatResult, FormatResult, Generalization, HolderResult, Inspection,
    Kind, LayerResult, MaxLossResult, NodeInspection, OtherResult, PartResult, PreprocessingResult,
    Remedy, RunResult, SchedulePart, ScheduledNode, SetResult, Share, SweepLayer, SweepPoint,
    SweepResult, TextOptions, summary,
};
use std::collections::BTreeSet;
use unicode_width::UnicodeWidthStr as _;

/// Names of nodes that are hard to shorten, network by network.
fn networks() -> Vec<(&'static str, Vec<String>)> {
    let of = |n: usize, name: &dyn Fn(usize) -> String| (0..n).map(name).collect();
    vec![
        ("short", of(3, &|i| format!("conv2d_{i}"))),
        ("many layers", of(30, &|i| format!("/features/features.{i}/conv/conv.{}/Conv", i % 3))),
        (
            "Inception",
            of(16, &|i| {
                format!(
                    "StatefulPartitionedCall/inception_v3/mixed{}/branch{}x{}/conv_{i}/Conv2D",
                    i / 4,
                    i % 3,
                    i % 4
                )
            }),
        ),
        (
            "one character in the middle",
            of(12, &|i| {
                let middle = char::from(b'a' + u8::try_from(i).unwrap());
                format!("{}{middle}{}", "x".repeat(40), "y".repeat(40))
            }),
        ),
        ("only digits", of(16, &|i| format!("{}{i:02}{}", "1".repeat(30), "2".repeat(30)))),
        (
            "wide characters",
            of(12, &|i| format!("特徴抽出/畳み込み層_{i}/{}", "長い名前".repeat(8))),
        ),
        ("empty and blank", vec![String::new(), " ".to_owned(), "  ".to_owned(), "/".to_owned()]),
    ]
}

fn format(bits: u8, frac: i32, count: u64) -> FormatResult {
    FormatResult { bits, frac: Some(frac), signed: true, full: false, bipolar: false, count }
}

fn set(n: u64) -> SetResult {
    SetResult {
        n,
        float: 0.9234,
        fixed: 0.9101,
        relative_loss: 0.0144,
        lost: n / 40,
        gained: n / 70,
        interval95: [-0.1032, 0.2177],
        ..SetResult::default()
    }
}

/// A run of which everything is long: per-channel formats, residual adds, no budget met.
fn run(model: &str, names: &[String]) -> RunResult {
    let mut result = RunResult {
        strategy: "layer-independent".to_owned(),
        max_loss: Some(MaxLossResult { value: 0.01, kind: "relative".to_owned() }),
        bound_met: true,
        target: Some("a-board-with-a-long-name-that-somebody-chose".to_owned()),
        flash_bytes: 1_234_567,
        peak_ram_bytes: 345_678,
        io_bytes: Some(150_528),
        evaluations: 12_345,
        images_evaluated: 123_456_789,
        seconds: 4321.0,
        ..RunResult::default()
    };
    model.clone_into(&mut result.model.name);
    result.model.parameters = 25_600_000;
    result.model.macs = 4_100_000_000;
    result.images.calibration = 2000;
    result.accuracy.search = Some(set(5000));
    result.accuracy.test = Some(set(300));
    result.memory_bits.total = 95_962_963;
    result.memory_bits.uniform8_total = 195_962_963;
    result.memory_bits.weights = 87_654_321;
    result.multiplication_cost.operand = 123_456_789_012;
    for (idx, name) in names.iter().enumerate() {
        if idx % 3 == 2 {
            let (name, op) = (name.clone(), "Concat".to_owned());
            result.others.push(OtherResult { name, op, activation: format(12, -10, 1_000_000) });
            continue;
        }
        result.layers.push(LayerResult {
            name: name.clone(),
            op: "Conv".to_owned(),
            output_shape: [112, 112, 1024],
            macs: 1_234_567_890,
            accumulator_bits: 31,
            weights: format(12, 10, 2_359_296),
            coarser: vec![0, 1, 2],
            dropped_channels: vec![],
            bias: format(32, 13, 1024),
            activation: format(12, -13, 12_845_056),
        });
    }
    let (first, last) = (&names[0], &names[names.len() - 1]);
    let holder = |name: &str| HolderResult {
        name: format!("{name} (working memory)"),
        bytes: 21_632,
        rows: None,
    };
    for memory in ["flash", "ram"] {
        result.budgets.push(BudgetResult {
            memory: memory.to_owned(),
            limit_bytes: 20_480,
            bytes: 345_678,
            is_met: false,
            least_bytes: Some(300_000),
            packed_bytes: None,
            holders: vec![holder(first), holder(last)],
            steps: vec![BudgetStep {
                name: last.clone(),
                kind: "activations".to_owned(),
                bits: 12,
                next_bits: 8,
                saved_bytes: 12_810_816,
                was_tried: true,
                loss: Some(0.0183),
                added_error: None,
            }],
        });
    }
    let share = |name: &String| Share { name: name.clone(), weights: 0.01, ..Share::default() };
    result.explanation = Some(Explanation {
        divergence: 0.02,
        shares: vec![share(first), share(last)],
        remedy: Some(Remedy {
            name: last.clone(),
            kind: Kind::Activations,
            bits: [5, 6],
            divergence: 0.004,
            memory_bits: 288_000,
        }),
    });
    result
}

/// The run, and the same with other outputs, bounds and memory.
fn runs(model: &str, names: &[String]) -> Vec<RunResult> {
    let run = run(model, names);
    let bound = |value, kind: &str| Some(MaxLossResult { value, kind: kind.to_owned() });
    let mut values = RunResult {
        metric: "sqnr".to_owned(),
        max_loss: bound(35.0, "sqnr-db"),
        bound_met: false,
        ..run.clone()
    };
    values.accuracy.search = Some(SetResult { sqnr_db: Some(34.2), ..set(5000) });
    let mut command =
        RunResult { metric: "command".to_owned(), max_loss: bound(0.01, "metric"), ..run.clone() };
    command.accuracy.search = Some(SetResult { metric: Some([123_456.7, 123_455.1]), ..set(5000) });
    vec![
        RunResult { metric: "agreement".to_owned(), ..run.clone() },
        RunResult { max_loss: bound(0.005, "points"), bound_met: false, ..run.clone() },
        RunResult { target: None, io_bytes: None, budgets: Vec::new(), ..run.clone() },
        values,
        command,
        run,
    ]
}

fn inspection(model: &str, names: &[String]) -> Inspection {
    let RunResult { model, .. } = run(model, &names[..1]);
    let node = |name: &String| NodeInspection {
        name: name.clone(),
        op: "GlobalAveragePool".to_owned(),
        output_shape: [112, 112, 1024],
        weights: 2_359_296,
        biases: 1024,
        macs: 1_234_567_890,
        uniform8_bits: 87_654_321,
        weight_range: Some([-12.3456, 23.4567]),
        value_range: Some([-1234.567, 2345.678]),
    };
    Inspection {
        schema: 1,
        tool: String::new(),
        model,
        inputs: Vec::new(),
        unused_inputs: Vec::new(),
        input_shape: [1024, 1024, 3],
        outputs: Vec::new(),
        images: 2000,
        preprocessing: Some(fed()),
        float_network: Some(float()),
        nodes: names.iter().map(node).collect(),
        uniform8_bits: 87_654_321,
        device: Some(device(names)),
    }
}

fn device(names: &[String]) -> DeviceResult {
    let CExported { target, layers, peak, schedule, clock, .. } = exported(names);
    DeviceResult {
        target,
        processor: "cortex-m55".to_owned(),
        bits: Some(8),
        kernels: "small".to_owned(),
        instructions: 1_234_567_890,
        schedule_instructions: 12_345,
        uncounted: Vec::new(),
        clock,
        flash_bytes: 12_345_678,
        constant_bytes: 12_300_000,
        peak_ram_bytes: 2_345_678,
        peak,
        schedule,
        layers,
    }
}

fn fed() -> PreprocessingResult {
    let text = "scale=1/255,mean=0.485;0.456;0.406,std=0.229;0.224;0.225,resize=1024x1024";
    PreprocessingResult {
        inputs: Vec::new(),
        preprocess: text.parse().unwrap(),
        declared_by: DeclaredBy::ModelToml,
        is_missing_in_plan: true,
        range: vec![[-2.118, 2.249]; 3],
    }
}

fn float() -> FloatResult {
    FloatResult {
        images: 50_000,
        classes: 1000,
        correct: Some(123),
        warnings: vec!["The float network does little better than chance. ".repeat(4)],
        ..FloatResult::default()
    }
}

fn exported(names: &[String]) -> CExported {
    let layer = |name: &String| CExportedLayer {
        name: name.clone(),
        kernel: "depthwise, smlad, 4 bits, per channel".to_owned(),
        weight_bits: Some(4),
        value_bits: 8,
        instructions: 123_456_789,
        milliseconds: Some(1543.2098),
        constant_bytes: 2_359_296,
        value_bytes: 12_845_056,
        rows: Some(14),
        scratch_bytes: 123_456,
    };
    let holder =
        |name: &String| HolderResult { name: name.clone(), bytes: 12_845_056, rows: Some(14) };
    let held = |name: &String| ScheduledNode { name: name.clone(), rows: 14, height: 1024 };
    CExported {
        files: Vec::new(),
        name: "net".to_owned(),
        target: "a-board-with-a-long-name".to_owned(),
        preprocessing: fed(),
        warnings: Vec::new(),
        flash_bytes: 12_345_678,
        constant_bytes: 12_300_000,
        weight_file_bytes: Some(12_345_678),
        code_bytes: [("-O2", 45_678), ("-Os", 40_000)].map(|(flag, n)| (flag.to_owned(), n)).into(),
        code: Some(CodeResult {
            kernels: "small".to_owned(),
            reason: "larger".to_owned(),
            bytes: 45_678,
            processor: "cortex-m55".to_owned(),
            compiler: "arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205".to_owned(),
            optimization: "-O2".to_owned(),
            other_flash_bytes: Some(23_456_789),
        }),
        peak_ram_bytes: 2_345_678,
        peak: names.iter().map(holder).collect(),
        schedule: vec![SchedulePart { flows: true, nodes: names.iter().map(held).collect() }],
        instructions: 1_234_567_890,
        schedule_instructions: 12_345,
        uncounted: Vec::new(),
        clock: Some(ClockResult {
            hz: 80_000_000,
            cycles_per_instruction: 1.25,
            milliseconds: 19_290.123,
        }),
        layers: names.iter().map(layer).collect(),
    }
}

fn swept(names: &[String]) -> SweepResult {
    let point = |frac: i8| SweepPoint {
        bits: 4,
        frac,
        signed: true,
        images: 5000,
        correct: 4000,
        accuracy: 1.0,
        drop: 0.0,
        ratio: 0.96,
        lost: 1,
        gained: 2,
    };
    let layer = |name: &String| SweepLayer {
        name: name.clone(),
        points: (-60..60).map(point).collect(),
        held: Some(3),
    };
    SweepResult {
        layers: names.iter().map(layer).collect(),
        preprocessing: Some(fed()),
        float_network: Some(float()),
        ..SweepResult::default()
    }
}

fn generalization() -> Generalization {
    let part = |idx: u64| PartResult {
        from: 10_000 * idx,
        to: 10_000 * idx + 10_000,
        tuned: idx == 0,
        bound_met: idx != 1,
        accuracy: set(10_000),
    };
    Generalization {
        strategy: "layer-independent".to_owned(),
        parts: (0..12).map(part).collect(),
        unseen: set(110_000),
        ..Generalization::default()
    }
}

/// Every text of a network, with what it is of.
fn texts(options: &TextOptions) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for (network, names) in networks() {
        let model = match network {
            "short" => "net",
            _ => "a_network_whose_file_has_a_rather_long_name_of_many_words_v3_final",
        };
        for (idx, run) in runs(model, &names).iter().enumerate() {
            texts.push((format!("run {idx} of {network}"), summary(run, options)));
        }
        let inspected = inspection(model, &names).to_text(options);
        texts.push((format!("inspection of {network}"), inspected));
        texts.push((format!("C of {network}"), exported(&names).summary(options)));
        texts.push((format!("sweep of {network}"), swept(&names[..3]).to_text(options)));
    }
    let parts = generalization();
    texts.push(("parts".to_owned(), parts.to_text(options)));
    let parts = Generalization { metric: "agreement".to_owned(), ..parts };
    texts.push(("parts without labels".to_owned(), parts.to_text(options)));
    texts
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for (columns, verbose) in [(80, true), (132, false)] {
        for (what, text) in texts(&TextOptions { columns, verbose, color: false }) {
            for line in text.lines() {
                // A name in a title is a word of its own.
                let is_name = !line.trim().contains(' ');
                assert!(line.width() <= columns || is_name, "{what}, {}:\n{line}", line.width());
            }
        }
    }
}

#[test]
fn a_wider_terminal_shows_more() {
    let names: Vec<String> =
        (0..4).map(|i| format!("block_{i}/separable_convolution_named_{i}")).collect();
    let show =
        |columns| summary(&run("net", &names), &TextOptions { columns, ..Default::default() });
    let (narrow, wide) = (show(80), show(160));
    assert!(!narrow.contains('█') && wide.contains("██████"), "{narrow}\n{wide}");
    assert!(wide.contains("block_1/separable_convolution") && narrow.contains('…'), "{narrow}");
    for column in ["operator", "MACs", "acc", "bias"] {
        assert!(narrow.contains(column), "{narrow}");
    }
    let (narrow, wide) = (inspection("net", &names), inspection("net", &names));
    let narrow = narrow.to_text(&TextOptions::default());
    let wide = wide.to_text(&TextOptions { columns: 160, ..Default::default() });
    assert!(!narrow.contains("at 8 bit  ") && wide.contains("at 8 bit  "), "{narrow}\n{wide}");
    assert!(narrow.contains("values min max"), "{narrow}");
}

/// The first words of the rows below the head of a table.
fn first_column(text: &str, head: &str, rows: usize) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(head));
    let title = lines.next().expect("a table");
    let end = title[2..].find("  ").map_or(title.len(), |blank| {
        // The next title begins where the first column ends.
        let rest = &title[2 + blank..];
        2 + blank + rest.len() - rest.trim_start().len() - 2
    });
    let mut names = Vec::new();
    for line in lines {
        let mut width = 0;
        let is_first = |c: &char| {
            width += c.to_string().width();
            width <= end
        };
        let name = line.chars().take_while(is_first).collect::<String>();
        // What is folded goes on under a blank name.
        if !name.trim().is_empty() {
            names.push(name.trim_end().to_owned());
        }
        if names.len() == rows {
            break;
        }
    }
    names
}

#[test]
fn layers_stay_apart_in_every_table() {
    let options = TextOptions::default();
    for (network, names) in networks() {
        for (text, head) in [
            (exported(&names).summary(&options), "  layer"),
            (inspection("net", &names).to_text(&options), "  node"),
            (summary(&run("net", &names), &options), "  layer"),
        ] {
            let shown = first_column(&text, head, names.len());
            let all: BTreeSet<&String> = shown.iter().collect();
            assert_eq!(all.len(), names.len(), "{network}: {shown:?}\n{text}");
        }
    }
}

#[test]
fn a_summary_reads_well_within_80_columns() {
    let mut result = run("fashion_small", &["conv2d_1", "conv2d_2"].map(str::to_owned));
    result.budgets.clear();
    result.explanation = None;
    let text = summary(&result, &TextOptions::default());
    let expected = "\
fashion_small  25,600,000 parameters, 4.10 G MACs; layer-independent, integer
  semantics

Layers
  layer     operator        output    MACs  weights   bias     activation  acc
  conv2d_1  Conv      112x112x1024  1.23 G  s12 F10*  s32 F13  s12 F-13     31
";
    assert!(text.starts_with(expected), "{text}");
}
