//! `docs/paper.md` from what the runs found.

use super::{
    Found, Run,
    published::{NETWORKS, Network, QUARTERS, QUARTERS_FLOAT, TIMED},
};
use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "\
# The paper's experiments, reproduced

arXiv 2102.02147 (Goyal, Vanschoren, van Acht, Nijssen, 2021) searches a bit width and a binary point
for every tensor of a trained network. This page compares the results of fixedwise on the paper's own
trained networks with the results of the paper and its code. One command writes it, from networks and
data sets that you supply. The weights of the CIFAR-10 and SVHN networks are not available;
`cargo test -p fixedwise-graph --test all published_costs` checks the published costs of these instead.

```
cargo xtask paper --models DIR --data DIR
```

All runs use the paper's `simulated` semantics: weights, biases and layer outputs are rounded, and the
arithmetic between them is float. The search is `--strategy joint` with its defaults, which are the
paper's settings. The calibration set is 2,000 training images (the paper: 250).";

const TUNED: &str = "\
## Tuned on all test images, as in the paper

The search uses all 10,000 test images, and the loss is measured on the same images. So these losses
say nothing about unseen images (see Held-out images). Savings are relative to uniform 8 bit.
*Printed* is the figure in the paper. For the Inception networks, the paper's code combines bit widths
with the sizes of other layers; *corrected* is the published plan with each width at its own layer.
Bit products are counted as in the paper (weight bits x output bits).";

const PLANS: &str = "\
## The plans

Bits of weights / biases / activations, in graph order. A tensor with one bit is the constant zero: it
is removed.";

const UNSEEN: &str = "\
## Held-out images

The paper does not report these. A seed divides the test images into a search set of 5,000 and a
held-out set of 5,000; the bound is 1 % of the float accuracy. The interval is the 95 % confidence
interval of the paired difference.";

const UNIFORM: &str = "\
## Uniform 8 bit

The baseline: for every tensor, the finest binary point without clipping; loss on all 10,000 test
images.";

const QUARTER: &str = "\
## Tuned on one quarter

`fixedwise generalize --parts 4 --tune K`: the search uses one quarter of MNIST's test images, in file
order, and the plan is measured on all four. Accuracy in percent.";

/// What a run on a network found, if it was made.
type Lookup<'a> = &'a dyn Fn(&Network, Run) -> Option<Found>;

pub(super) fn write(found: Lookup<'_>, cores: usize) -> String {
    let sections = [
        format!("{HEAD}{}", missing(found)),
        format!("{TUNED}\n\n{}", tuned(found)),
        speed(found, cores),
        format!("{UNSEEN}\n\n{}", unseen(found)),
        format!("{QUARTER}\n\n{}", quarters(found)),
        format!("{UNIFORM}\n\n{}", uniform(found)),
        DIFFERENCES.to_owned(),
        format!("{PLANS}\n\n{}", plans(found)),
    ];
    sections.join("\n\n") + "\n"
}

const DIFFERENCES: &str = "\
## Differences and their reasons

- **Ranges.** They determine the start of the search, and come from 2,000 training images instead of 250.
- **Evaluations.** No plan is measured twice. The evaluation of a plan stops when the loss on the
  images so far is so large that the plan cannot be accepted any more. So fewer images are run than
  evaluations times 10,000. Every decision equals that of a full evaluation.
- **Plans.** The losses of neighboring formats differ by single images, and the search is greedy: one
  different tie leads to another plan with about the same cost. So the bit widths of single layers
  differ from the published ones in both directions.
- **The bound.** Both searches meet 1 % on the images that they use, but not on unseen images: a greedy
  search that makes hundreds of decisions on the same images also selects lucky plans.";

/// A paragraph that names the runs that were not made.
fn missing(found: Lookup<'_>) -> String {
    let of = |network: &Network| {
        let runs = Run::of(network).into_iter().filter(|&run| found(network, run).is_none());
        let runs: Vec<String> = runs.map(Run::name).collect();
        (!runs.is_empty()).then(|| format!("{} ({})", network.name, runs.join(", ")))
    };
    let runs: Vec<String> = NETWORKS.iter().filter_map(of).collect();
    if runs.is_empty() {
        return String::new();
    }
    format!("\n\n**Not run yet**, and so missing below: {}.", runs.join("; "))
}

/// The number at a JSON pointer.
fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer)?.as_f64()
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// A fraction as percent.
fn percent(value: &Value, pointer: &str) -> String {
    cell(number(value, pointer).map(|fraction| fraction * 100.0), 2)
}

fn line(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = String::new();
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    line(&mut out, &head);
    let _ = writeln!(out, "|{}", "---|".repeat(head.len()));
    rows.for_each(|row| line(&mut out, &row));
    out.trim_end().to_owned()
}

fn minutes(found: &Found) -> String {
    let minutes = number(&found.result, "/seconds").map(|seconds| seconds / 60.0);
    let note = if found.is_resumed { " (last part)" } else { "" };
    format!("{}{note}", cell(minutes, 1))
}

fn tuned(found: Lookup<'_>) -> String {
    let head = [
        "network",
        "float accuracy, ours / published",
        "loss %, ours / published",
        "memory saved %, ours",
        "printed",
        "corrected",
        "bit products saved %, ours",
        "printed",
        "corrected",
        "evaluations, ours / published",
        "minutes",
    ];
    let row = |network: &Network| {
        let run = found(network, Run::Search)?;
        let (result, joint) = (&run.result, network.joint.as_ref());
        let published = |value: Option<f64>, digits| cell(value, digits);
        let float = number(result, "/accuracy/search/float_correct");
        let evaluations = run.evaluations.map_or_else(|| "-".to_owned(), |n| n.to_string());
        Some(vec![
            network.title.to_owned(),
            format!(
                "{} / {}",
                cell(float.map(|correct| correct / 1e4), 4),
                published(joint.map(|joint| f64::from(joint.float_correct) / 1e4), 4)
            ),
            format!(
                "{} / {}",
                percent(result, "/accuracy/search/relative_loss"),
                published(joint.map(|joint| joint.loss), 2)
            ),
            percent(result, "/memory_bits/reduction"),
            published(joint.map(|joint| joint.memory[0]), 2),
            published(joint.map(|joint| joint.memory[1]), 2),
            percent(result, "/multiplication_cost/paper_reduction"),
            published(joint.map(|joint| joint.multiplications[0]), 2),
            published(joint.map(|joint| joint.multiplications[1]), 2),
            format!(
                "{evaluations} / {}",
                joint.map_or_else(|| "-".to_owned(), |joint| joint.evaluations.to_string())
            ),
            minutes(&run),
        ])
    };
    table(&head, NETWORKS.iter().filter_map(row))
}

fn speed(found: Lookup<'_>, cores: usize) -> String {
    let (name, minutes, seconds) = TIMED;
    let network = NETWORKS.iter().find(|network| network.name == name);
    let run = network.and_then(|network| found(network, Run::Search));
    let time = run.as_ref().filter(|run| !run.is_resumed);
    let time = time.and_then(|run| Some((number(&run.result, "/seconds")?, run)));
    let Some((ours, run)) = time else {
        return "## Speed\n\nNot measured: the search was interrupted and resumed.".to_owned();
    };
    let evaluations = run.evaluations.and_then(|n| u32::try_from(n).ok()).map(f64::from);
    let each = evaluations.map(|n| ours / n);
    let images = number(&run.result, "/images_evaluated").zip(evaluations);
    format!(
        "## Speed\n\nThe search on `{name}` takes {:.1} minutes on {cores} threads, that of the paper's \
         code (Keras 3, two cores) about {minutes:.0} minutes: {:.1} times faster. One evaluation takes \
         {} s, that of the paper's code about {seconds:.0} s: {} times faster. On average an evaluation \
         runs {} of 10,000 images and then stops, because the decision is certain.",
        ours / 60.0,
        minutes * 60.0 / ours,
        cell(each, 2),
        cell(each.map(|each| seconds / each), 1),
        cell(images.map(|(images, n)| images / n), 0),
    )
}

fn unseen(found: Lookup<'_>) -> String {
    let head = [
        "network",
        "loss % on the search set",
        "loss % on the held-out set",
        "95 % interval",
        "memory saved %",
        "bit products saved %",
        "minutes",
    ];
    let row = |network: &Network| {
        let run = found(network, Run::Half)?;
        let result = &run.result;
        let [from, to] =
            [0, 1].map(|end| percent(result, &format!("/accuracy/test/interval95/{end}")));
        Some(vec![
            network.title.to_owned(),
            percent(result, "/accuracy/search/relative_loss"),
            percent(result, "/accuracy/test/relative_loss"),
            format!("{from} to {to}"),
            percent(result, "/memory_bits/reduction"),
            percent(result, "/multiplication_cost/paper_reduction"),
            minutes(&run),
        ])
    };
    table(&head, NETWORKS.iter().filter_map(row))
}

fn uniform(found: Lookup<'_>) -> String {
    let head = ["network", "loss %, ours", "published"];
    let row = |network: &Network| {
        let run = found(network, Run::Uniform8)?;
        Some(vec![
            network.title.to_owned(),
            percent(&run.result, "/accuracy/search/relative_loss"),
            cell(network.joint.as_ref().map(|joint| joint.uniform8_loss), 2),
        ])
    };
    table(&head, NETWORKS.iter().filter_map(row))
}

fn quarters(found: Lookup<'_>) -> String {
    let head = ["", "quarter 1", "quarter 2", "quarter 3", "quarter 4"];
    let row = |name: String, cells: [String; 4]| [vec![name], cells.to_vec()].concat();
    let published = |values: [f64; 4]| values.map(|value| format!("{value:.2}"));
    let mut rows = vec![row("float, published".to_owned(), published(QUARTERS_FLOAT))];
    let network = NETWORKS.iter().find(|network| network.has_quarters);
    for (tuned, values) in QUARTERS {
        let run = network.and_then(|network| found(network, Run::Quarter(tuned)));
        let ours = |key: &str| {
            [0, 1, 2, 3].map(|part| {
                let pointer = format!("/parts/{part}/accuracy/{key}");
                run.as_ref().map_or_else(|| "-".to_owned(), |run| percent(&run.result, &pointer))
            })
        };
        if tuned == QUARTERS[0].0 {
            rows.push(row("float, ours".to_owned(), ours("float")));
        }
        rows.push(row(format!("tuned on quarter {tuned}, published"), published(values)));
        rows.push(row(format!("tuned on quarter {tuned}, ours"), ours("fixed")));
        let loss = format!("tuned on quarter {tuned}, ours, loss %");
        rows.push(row(loss, ours("relative_loss")));
    }
    table(&head, rows.into_iter())
}

fn plans(found: Lookup<'_>) -> String {
    let row = |network: &Network| {
        let run = found(network, Run::Search)?;
        let bits = |layer: &Value| {
            let of = |tensor: &str| {
                let bits = layer.pointer(&format!("/{tensor}/bits")).and_then(Value::as_u64);
                bits.map_or_else(|| "-".to_owned(), |bits| bits.to_string())
            };
            let name = layer["name"].as_str().unwrap_or("-");
            format!("{name} {}/{}/{}", of("weights"), of("bias"), of("activation"))
        };
        let layers = run.result["layers"].as_array()?;
        let layers: Vec<String> = layers.iter().map(bits).collect();
        Some(format!("- **{}**: {}", network.title, layers.join(", ")))
    };
    NETWORKS.iter().filter_map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result() -> Value {
        let set = json!({
            "n": 5000, "float": 0.99, "fixed": 0.98, "float_correct": 9950,
            "relative_loss": 0.0123, "interval95": [0.001, 0.02],
        });
        json!({
            "ended": "completed", "seconds": 600.0, "images_evaluated": 4_000_000,
            "accuracy": {"search": set, "test": set},
            "memory_bits": {"reduction": 0.6543},
            "multiplication_cost": {"paper_reduction": 0.8},
            "layers": [{"name": "conv", "weights": {"bits": 3}, "bias": null,
                "activation": {"bits": 4}}],
            "parts": [{"accuracy": set}, {"accuracy": set}, {"accuracy": set}, {"accuracy": set}],
        })
    }

    #[test]
    fn the_report_sets_ours_beside_the_published() {
        let found = |_: &Network, _: Run| {
            Some(Found { result: result(), evaluations: Some(500), is_resumed: false })
        };
        let text = write(&found, 2);
        assert!(!text.contains("Not run yet"));
        for expected in [
            "| Sequential large, MNIST | 0.9950 / 0.9950 | 1.23 / 0.98 | 65.43 | 62.72 | 62.72 | \
             80.00 | 84.94 | 84.94 | 500 / 713 | 10.0 |",
            "| Sequential small, MNIST | 0.9950 / - | 1.23 / - | 65.43 | - | - |",
            "takes 10.0 minutes on 2 threads, that of the paper's code (Keras 3, two cores) about 80 \
             minutes: 8.0 times faster. One evaluation takes 1.20 s, that of the paper's code about \
             7 s: 5.8 times faster.",
            "runs 8000 of 10,000 images",
            "| 1.23 | 1.23 | 0.10 to 2.00 | 65.43 |",
            "conv 3/-/4",
            "| tuned on quarter 3, published | 96.04 |",
            "| tuned on quarter 3, ours | 98.00 |",
        ] {
            assert!(text.contains(expected), "{expected} in:\n{text}");
        }
    }

    #[test]
    fn what_was_not_run_is_left_out() {
        let text = write(&|_: &Network, _: Run| None, 2);
        assert!(text.contains("seq_large_mnist (uniform8, search, half, quarter1, quarter3);"));
        assert!(text.contains("Not measured") && !text.contains("Sequential large, MNIST"));
        let resumed = |_: &Network, _: Run| {
            Some(Found { result: result(), evaluations: None, is_resumed: true })
        };
        let text = write(&resumed, 2);
        assert!(text.contains("Not measured") && text.contains("10.0 (last part)"), "{text}");
    }
}
