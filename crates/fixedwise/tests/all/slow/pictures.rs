//! Pictures of hand-made results: well formed, with the marks and names they must carry.

use fixedwise::{
    FormatMap, FormatResult, Kind, LayerResult, MaxLossResult, Picture, PlanBits, RunResult,
    TraceEntry, TraceStep, plot_bits, plot_costs, plot_distributions, plot_drop, plot_heatmap,
};
use std::path::Path;

/// What an SVG must not hold as it is.
const HOSTILE: &str =
    "a<b>&\"c\"\u{1}/very/long/path/of/a/node/in/some/block/of/a/network/Conv_out";

fn format(bits: u8) -> FormatResult {
    FormatResult { bits, frac: Some(3), signed: true, full: false, bipolar: false, count: 100 }
}

fn entry(
    name: &str,
    kind: Kind,
    bits: u8,
    frac: i8,
    loss: Option<f64>,
    chosen: bool,
) -> TraceEntry {
    TraceEntry {
        name: name.to_owned(),
        kind,
        bits,
        frac,
        signed: true,
        images: if loss.is_some() { 100 } else { 50 },
        correct: 40,
        lost: 5,
        gained: 1,
        relative_loss: loss,
        chosen,
    }
}

/// A search over layers of these names.
fn result(names: &[&str]) -> RunResult {
    let mut result = RunResult { strategy: "joint".to_owned(), ..RunResult::default() };
    "tiny".clone_into(&mut result.model.name);
    result.images.search = 100;
    result.max_loss = Some(MaxLossResult { value: 0.01, kind: "relative".to_owned() });
    result.memory_bits.weights = 4000;
    result.memory_bits.total = 8000;
    result.memory_bits.uniform8_total = 16_000;
    result.memory_bits.reduction = 0.5;
    result.multiplication_cost.operand = 3_000_000;
    result.multiplication_cost.operand_uniform8 = 4_000_000;
    result.multiplication_cost.operand_reduction = 0.25;
    for (idx, name) in names.iter().enumerate() {
        result.layers.push(LayerResult {
            name: (*name).to_owned(),
            op: "Conv".to_owned(),
            output_shape: [4, 4, 8],
            macs: 1000,
            accumulator_bits: 14,
            weights: format(5),
            coarser: vec![],
            dropped_channels: vec![],
            bias: format(7),
            activation: format(6),
        });
        for kind in [Kind::Weights, Kind::Biases, Kind::Activations] {
            result.tried.push(entry(name, kind, 8, 6, Some(0.0), false));
            result.tried.push(entry(name, kind, 5, 3, Some(0.004), true));
            result.tried.push(entry(name, kind, 4, 2, None, false));
            result.trace.push(TraceStep {
                seconds: 0.1,
                evaluations: u64::try_from(idx).unwrap(),
                node: (*name).to_owned(),
                kind: kind.name().to_owned(),
                memory_bits: 9000,
                loss: Some(0.004),
            });
        }
    }
    result
}

/// Checks that tags match and that texts hold no raw `<` or `&`, and returns the texts.
fn texts(svg: &str) -> Vec<String> {
    let mut open = Vec::new();
    let mut texts = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        assert!(!text.contains('>'), "{text}");
        for entity in text.split('&').skip(1) {
            let known = ["lt;", "gt;", "amp;", "quot;", "apos;"];
            assert!(known.iter().any(|known| entity.starts_with(known)), "{text}");
        }
        if open.last() == Some(&"text") {
            texts.push(text.to_owned());
        }
        rest = &rest[start..];
        if rest.starts_with("<!--") {
            rest = &rest[rest.find("-->").expect("a comment ends") + 3..];
            continue;
        }
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.trim()));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} stay open, then `{rest}`");
    let is_allowed = |c: char| !c.is_control() || c == '\n';
    assert!(svg.chars().all(is_allowed), "XML has no control characters");
    texts
}

fn all(result: &RunResult) -> Vec<(&'static str, Picture)> {
    let bits = PlanBits::from_result(result);
    vec![
        ("heatmap", plot_heatmap(&FormatMap::from_result(result).unwrap(), None).unwrap()),
        ("bits", plot_bits(&[("one", &bits), ("other", &bits)]).unwrap()),
        ("costs", plot_costs(&[("one", result), ("other", result)]).unwrap()),
        ("drop", plot_drop(result).unwrap()),
    ]
}

#[test]
fn pictures_carry_names_and_are_well_formed() {
    for names in [&["first"][..], &["first", HOSTILE, "last"]] {
        let result = result(names);
        for (name, picture) in all(&result) {
            let svg = picture.to_svg();
            let texts = texts(&svg);
            assert!(svg.starts_with("<svg viewBox=\"0 0 "), "{name}");
            assert!(texts.iter().any(|text| text.contains("tiny")), "{name} names the network");
            if name != "costs" {
                for known in names.iter().filter(|known| **known != HOSTILE) {
                    assert!(texts.iter().any(|text| text == known), "{name} names `{known}`");
                }
            }
        }
    }
}

#[test]
fn a_heat_map_has_a_cell_for_each_format_and_a_ring_for_the_chosen() {
    let map = FormatMap::from_result(&result(&["conv"])).unwrap();
    let svg = plot_heatmap(&map, Some(Kind::Weights)).unwrap().to_svg();
    // One of the legend and one of the picture: no loss, to 0.5 %, and what was given up.
    for (color, what) in [("#fde725", "none"), ("#4ac16d", "to 0.5 %"), ("#440154", "more")] {
        assert_eq!(svg.matches(&format!("fill=\"{color}\"")).count(), 2, "{what}");
    }
    assert_eq!(svg.matches("<circle").count(), 2, "the chosen one and its legend");
    assert!(svg.contains(">Weights<") && !svg.contains(">Biases<"));
    assert!(svg.contains("100 search images"));
}

#[test]
fn bars_say_what_is_saved_and_bits_stand_at_their_bars() {
    let result = result(&["conv"]);
    let costs = texts(&plot_costs(&[("five bits", &result)]).unwrap().to_svg());
    for expected in ["all 8 bit", "five bits", "1.0 KiB, 50.00 % saved", "3.00 M, 25.00 % saved"] {
        assert!(costs.iter().any(|text| text == expected), "{expected}: {costs:?}");
    }
    let bits = PlanBits::from_result(&result);
    let bits = texts(&plot_bits(&[("only", &bits)]).unwrap().to_svg());
    for expected in ["5", "7", "only", "conv"] {
        assert!(bits.iter().any(|text| text == expected), "{expected}: {bits:?}");
    }
}

#[test]
fn a_drop_shows_the_bound_and_a_place_for_each_tensor() {
    let svg = plot_drop(&result(&["conv", "dense"])).unwrap().to_svg();
    let texts = texts(&svg);
    assert_eq!(texts.iter().filter(|text| *text == "conv" || *text == "dense").count(), 6);
    assert!(texts.iter().any(|text| text == "bound"));
    assert_eq!(svg.matches("stroke=\"#cc3311\"").count(), 2, "the bound and its legend");
}

#[test]
fn same_input_gives_same_bytes() {
    let result = result(&["first", "second", HOSTILE]);
    for ((name, a), (_, b)) in all(&result).iter().zip(all(&result)) {
        assert_eq!(a.to_svg(), b.to_svg(), "{name}");
        assert_eq!(a.to_png().unwrap(), b.to_png().unwrap(), "{name}");
    }
}

#[test]
fn pixels_are_twice_the_size_and_hold_letters() {
    for (name, picture) in all(&result(&["first", "second"])) {
        let png = picture.to_png().unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(&png));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let size = [info.width, info.height].map(|length| usize::try_from(length).unwrap());
        let expected = picture.size().map(|length| 2 * length);
        assert!(size[0].abs_diff(expected[0]) <= 1 && size[1].abs_diff(expected[1]) <= 1, "{name}");
        // The title: dark pixels in the first lines, which nothing else draws into.
        let samples = info.color_type.samples();
        let head = &pixels[..info.line_size * 76];
        let dark = head.chunks(samples).filter(|pixel| pixel[0] < 80 && pixel[1] < 80).count();
        assert!(dark > 500, "{name}: {dark} dark pixels in the title");
    }
}

#[test]
fn pictures_of_many_layers_grow_and_what_is_too_large_is_refused_as_pixels() {
    let names: Vec<String> = (0..23).map(|i| format!("block{i}/branch/conv2d/Conv")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (few, many) = (all(&result(&names[..4])), all(&result(&names)));
    for ((name, few), (_, many)) in few.iter().zip(&many).filter(|((name, _), _)| *name != "costs")
    {
        let area = |picture: &Picture| picture.size()[0] * picture.size()[1];
        assert!(area(many) > area(few), "{name}");
    }
    let names: Vec<String> = (0..6000).map(|i| format!("{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bits = PlanBits::from_result(&result(&names));
    let picture = plot_bits(&[("huge", &bits)]).unwrap();
    let error = picture.to_png().unwrap_err().to_string();
    assert!(error.contains("too large") && error.contains(".svg"), "{error}");
}

#[test]
fn what_cannot_be_drawn_says_why() {
    let empty = RunResult::default();
    let one = result(&["conv"]);
    let (bits, other) = (PlanBits::from_result(&one), PlanBits::from_result(&result(&["other"])));
    let map = FormatMap::from_result(&RunResult {
        tried: one.tried.iter().filter(|entry| entry.kind == Kind::Weights).cloned().collect(),
        ..one.clone()
    })
    .unwrap();
    let seven = [("x", &bits); 7];
    let picture = plot_costs(&[("one", &one)]).unwrap();
    for (error, expected) in [
        (plot_drop(&empty).unwrap_err(), &["no layer-by-layer search", "joint"][..]),
        (FormatMap::from_result(&empty).unwrap_err(), &["no tried formats", "joint"]),
        (plot_heatmap(&map, Some(Kind::Biases)).unwrap_err(), &["biases"]),
        (plot_costs(&[]).unwrap_err(), &["at least one"]),
        (plot_costs(&[("old", &empty)]).unwrap_err(), &["old", "costs"]),
        (plot_bits(&[]).unwrap_err(), &["1 to 6"]),
        (plot_bits(&seven).unwrap_err(), &["not 7"]),
        (plot_bits(&[("a", &bits), ("b", &other)]).unwrap_err(), &["`b`", "`a`", "networks"]),
        (picture.write(Path::new("picture.jpg")).unwrap_err(), &["picture.jpg", ".svg or .png"]),
    ] {
        let error = error.to_string();
        for expected in expected {
            assert!(error.contains(expected), "no `{expected}` in: {error}");
        }
    }
}

#[test]
fn plans_are_read_in_the_order_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    let text = "schema = 1\nsemantics = \"simulated\"\n[layers.second]\nweights = { bits = 5, frac = 3 }\n\
                [layers.first]\nactivation = { bits = 6, frac = 3 }\n[others]\nadd = { bits = 9, frac = 2 }\n";
    std::fs::write(&path, text).unwrap();
    let picture = plot_bits(&[("by hand", &PlanBits::read(&path).unwrap())]).unwrap();
    let texts = texts(&picture.to_svg());
    let at = |name: &str| texts.iter().position(|text| text == name).unwrap();
    // The axis is written from below.
    assert!(at("add") < at("first") && at("first") < at("second"));
    std::fs::write(folder.path().join("plan.json"), r#"{"weights": {"conv": [300, 1]}}"#).unwrap();
    let error = PlanBits::read(&folder.path().join("plan.json")).unwrap_err().to_string();
    assert!(error.contains("plan.json"), "{error}");
}

#[test]
fn distributions_show_the_range_of_each_format() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let model = format!("{root}/models/fashion_small.onnx");
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.json");
    std::fs::write(
        &plan,
        r#"{"weights": {"conv2d_1": [8, 6]}, "biases": {}, "activations": {"conv2d_1": [4, -1]}}"#,
    )
    .unwrap();
    let data = fixedwise::DataOptions {
        data: Some(format!("{root}/data/fashion-mnist:train@0..20").parse().unwrap()),
        ..fixedwise::DataOptions::default()
    };
    let picture = plot_distributions(model.as_ref(), &plan, Some(&data), None, &()).unwrap();
    let svg = picture.to_svg();
    let texts = texts(&svg);
    let has = |start: &str| texts.iter().any(|text| text.starts_with(start));
    assert!(has("conv2d_1 weights") && has("dense_1 activations"), "{texts:?}");
    assert!(has("s8 F6, step 2^-6") && has("s4 F-1, step 2^1"), "{texts:?}");
    assert!(has("no format") && svg.contains("20 calibration images"));
    assert_eq!(svg.matches("fill=\"#f2e8c9\"").count(), 3, "two ranges and their legend");

    std::fs::write(
        &plan,
        r#"{"weights": {"of_another": [8, 6]}, "biases": {}, "activations": {}}"#,
    )
    .unwrap();
    let error = plot_distributions(model.as_ref(), &plan, None, None, &()).unwrap_err();
    assert!(error.to_string().contains("of_another"), "{error}");
}
