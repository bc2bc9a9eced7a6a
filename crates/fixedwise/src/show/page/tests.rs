use super::*;
use crate::{
    result::{
        ClassResult, DistributionResult, FormatResult, HistogramResult, HolderResult, LayerResult,
        LostImageResult, NodeResult, RecallResult, SchedulePart, ScheduledNode,
    },
    watch::{Candidate, Progress, Step},
};
use fixedwise_search::strategies::{Kind, Sensitivity, WidthEffect, pareto::FrontPlan};

/// A network of so many layers in two branches, with everything that a result may hold.
fn result(n: u32) -> RunResult {
    let format = |bits| FormatResult {
        bits,
        frac: Some(3),
        signed: true,
        full: false,
        bipolar: false,
        count: 9,
    };
    let name = |i: u32| format!("layer{i}</script><script>alert({i})</script>");
    let mut result = RunResult::default();
    result.model.name = "<script>alert(1)</script>".to_owned();
    result.nodes.push(NodeResult {
        name: "\"><img src=x>".to_owned(),
        op: "Input".to_owned(),
        output_shape: [4, 4, 1],
        inputs: vec![],
    });
    for i in 0..n {
        // A long edge from the first node to every fifth.
        let inputs = if i % 5 == 4 { vec![u64::from(i), 0] } else { vec![u64::from(i)] };
        let node =
            NodeResult { name: name(i), op: "Conv".to_owned(), output_shape: [4, 4, 8], inputs };
        result.nodes.push(node);
        result.layers.push(LayerResult {
            name: name(i),
            op: "Conv".to_owned(),
            output_shape: [4, 4, 8],
            macs: 1000 + u64::from(i),
            accumulator_bits: 18,
            weights: format(1 + u8::try_from(i % 16).unwrap()),
            coarser: vec![],
            dropped_channels: vec![],
            bias: format(8),
            activation: format(4),
        });
        for (kind, bits) in [(Kind::Weights, 4), (Kind::Activations, 8)] {
            let widths = (1..=8).map(|bits| WidthEffect {
                bits,
                divergence: 1.0 / f64::from(1 << (2 * bits)),
                shift: 0,
            });
            let widths = widths.collect();
            result.sensitivity.push(Sensitivity { name: name(i), kind, bits, widths });
        }
        let values = HistogramResult { low: -1.5, high: 2.0, counts: (1..=32).collect() };
        result.distributions.push(DistributionResult {
            name: name(i),
            weights: values.clone(),
            activation: Some(values),
        });
        result.ram_by_step.push(HolderResult {
            name: name(i),
            bytes: 10 * u64::from(i),
            rows: None,
        });
        let held = ScheduledNode { name: name(i), rows: 3, height: 100 + u64::from(i) };
        result.schedule.push(SchedulePart { flows: true, nodes: vec![held] });
    }
    result.memory_bits.uniform8_total = 100_000;
    for class in 0..4 {
        let name = Some("</span><script>alert('class')</script>".to_owned());
        result.classes.push(ClassResult {
            class,
            name,
            search: None,
            test: Some(RecallResult::default()),
        });
    }
    // As large as pictures are at most: 32x32 pixels in colors that cannot be compressed.
    for image in 0..24 {
        let png = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".repeat(67);
        result.lost_images.push(LostImageResult { image, label: image % 4, named: 0, png });
    }
    for i in 0..30_u32 {
        result.front.push(FrontPlan {
            bits: vec![4; result.sensitivity.len()],
            memory_bits: 30_000 + 1000 * u64::from(i),
            held_loss: 0.002 * f64::from(i),
            bound_met: i < 5,
            ..FrontPlan::default()
        });
    }
    result
}

fn shown<'a>(label: &'a str, result: &'a RunResult) -> Shown<'a> {
    Shown { label, is_folder: true, result }
}

#[test]
fn rows_that_are_held_stand_beside_their_layer() {
    let html = page(&[shown("run", &result(3))]).unwrap();
    for held in ["3 of 100", "3 of 102"] {
        assert_eq!(html.matches(held).count(), 1, "{held}");
    }
    assert!(!html.contains("3 of 103"));
}

#[test]
fn names_of_a_model_are_text() {
    let result = result(3);
    let html = page(&[shown("<b>run</b>", &result), shown("'other'\"", &result)]).unwrap();
    let scripts = html.matches("<script").count();
    assert_eq!((scripts, html.matches("</script").count()), (1, 1), "its own alone");
    assert_eq!(html.matches("<img").count(), result.lost_images.len(), "pictures alone");
    for text in ["<img src=x", "<b>run", " onload", "style=\""] {
        assert!(!html.contains(text), "{text}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn only_the_own_script_and_style_may_run() {
    let html = page(&[shown("run", &result(1))]).unwrap();
    let between = |from: &str, to: &str| {
        let (_, rest) = html.split_once(from).unwrap();
        rest.split_once(to).unwrap().0
    };
    for (kind, text) in
        [("style", between("<style>", "</style>")), ("script", between("<script>", "</script>"))]
    {
        let hash = base64_sha256(text.as_bytes());
        assert!(html.contains(&format!("{kind}-src 'sha256-{hash}'")), "{kind}");
    }
    assert!(html.contains("default-src 'none'"));
    for outside in ["http:", "https:", "url(", "@import", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
    // Images are those that the page holds.
    for source in ["src=\"", "<img"] {
        assert_eq!(html.matches(source).count(), html.matches("<img src=\"data:image").count());
    }
    assert!(html.contains("img-src data:;") && html.contains("src=\"data:image/png;base64"));
    assert_eq!(base64_sha256(b""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

#[test]
fn a_run_that_goes_on_shows_its_plans_and_asks_for_more() {
    let mut whole = RunResult { strategy: "pareto".to_owned(), ..result(3) };
    let best = whole.front.swap_remove(0);
    let mut running = Running::default();
    let told = |step| Progress { seconds: 1.0, step };
    let known =
        RunResult { front: Vec::new(), sensitivity: Vec::new(), layers: Vec::new(), ..whole };
    running.take(&told(Step::Known(Box::new(known))));
    for (place, plan) in
        [best.clone(), FrontPlan { memory_bits: 99_000, ..best }].into_iter().enumerate()
    {
        let (plan, is_best) = (Some(plan), place == 0);
        running.take(&told(Step::Searching(Candidate { plan, is_best, ..Candidate::default() })));
    }
    let now = Now { text: "<b>tuning".to_owned(), may_stop: true, ..Now::default() };
    let page = running_page("<i>run", &running, &now).unwrap();
    for expected in [
        "id=\"stop\"",
        "&lt;b&gt;tuning",
        "&lt;i&gt;run",
        "The best of 2 plans so far saves 70.0 % of memory",
        "1 (the best so far)",
        &page.policy,
    ] {
        assert!(page.html.contains(expected), "{expected}\n{}", page.html);
    }
    assert_eq!(page.html.matches("<circle").count(), 2);
    assert_eq!(page.html.matches("<script").count(), 1);
    assert!(page.policy.contains("connect-src 'self'") && !page.html.contains("id=\"layers\""));
    assert!(
        page.html.contains("its loss with its margin is")
            && page.html.contains("with its margin, %")
    );
    // A search without margins does not speak of them.
    running.result.strategy = "joint".to_owned();
    for plan in &mut running.result.front {
        plan.loss = Some(plan.held_loss);
    }
    let html = running_page("run", &running, &now).unwrap().html;
    assert!(
        html.contains("its loss is") && html.contains(">loss, %<") && !html.contains("margin, %")
    );
    let stopping = Now { is_stopping: true, ..now };
    let html = running_page("run", &running, &stopping).unwrap().html;
    assert!(html.contains("disabled") && html.contains("Stopping"), "{html}");
}

#[test]
fn a_network_of_sixty_layers_is_at_most_a_megabyte() {
    let html = page(&[shown("run", &result(60))]).unwrap();
    assert!(html.len() <= 1 << 20, "{} bytes", html.len());
    // All layers have their distributions, and all pictures are there.
    assert_eq!(html.matches("viewBox=\"0 0 96 20\"").count(), 120);
    assert_eq!(html.matches("<img").count(), 24);
    assert!(html.contains("-1.5 to 2</td>") && html.contains("d=\"M0 20V19h3"));
}

#[test]
fn nodes_are_drawn_once_and_below_what_they_take() {
    let result = result(20);
    let drawing = network::drawing(&result).unwrap();
    let text = serde_json::to_value(&drawing).unwrap();
    let boxes = text["boxes"].as_array().unwrap();
    assert_eq!(boxes.len(), result.nodes.len());
    let y = |place: usize| {
        let about = format!("{} (", result.nodes[place].name);
        let found = boxes.iter().find(|one| one["about"].as_str().unwrap().starts_with(&about));
        found.unwrap()["y"].as_f64().unwrap()
    };
    for (place, node) in result.nodes.iter().enumerate() {
        for &input in &node.inputs {
            assert!(y(usize::try_from(input).unwrap()) < y(place), "node {place} takes {input}");
        }
    }
    // What leads past other nodes has a line beside each.
    assert!(text["arrows"].as_array().unwrap().len() > result.nodes.len());
}

#[test]
fn a_result_without_a_graph_or_front_is_a_page_too() {
    let html = page(&[shown("run", &RunResult::default())]).unwrap();
    assert!(html.contains("id=\"layers\"") && !html.contains("id=\"network\""));
    assert!(page(&[]).is_err());
}
