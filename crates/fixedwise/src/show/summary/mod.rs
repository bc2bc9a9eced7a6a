//! What a person reads at the end of a run: sections, each derived in a file here and nowhere else.

mod accuracy;
mod costs;
mod layers;
mod outputs;
mod verdict;

pub(super) use layers::format_text;

use super::{
    first::{rounded_before, statements},
    numbers::{grouped, rounded},
    report::{Section, Sentence},
    text::{TextOptions, text},
};
use crate::result::RunResult;

/// The whole result as a report: the network, layers, costs, accuracy, verdict; with `is_verbose`, also
/// what few readers need.
///
/// ```
/// use fixedwise::{RunResult, sections};
///
/// let mut result = RunResult::default();
/// result.model.name = "fashion_small".to_owned();
/// let titles: Vec<String> = sections(&result, false).into_iter().map(|section| section.title).collect();
/// assert_eq!(titles, ["fashion_small", "Layers", "Costs", "Accuracy", ""]);
/// ```
pub fn sections(result: &RunResult, is_verbose: bool) -> Vec<Section> {
    let mut sections = vec![
        head(result),
        layers::section(result),
        costs::section(result, is_verbose),
        accuracy::section(result),
    ];
    sections.extend(outputs::section(result));
    sections.push(verdict::section(result));
    sections
}

/// The whole result as text for a terminal: layers, costs, accuracy, verdict.
///
/// ```
/// use fixedwise::{RunResult, TextOptions, summary};
///
/// let text = summary(&RunResult::default(), &TextOptions::default());
/// assert!(text.contains("memory"));
/// ```
pub fn summary(result: &RunResult, options: &TextOptions) -> String {
    text(&sections(result, options.verbose), options)
}

/// The network, and what it makes of the images in float.
pub(super) fn head(result: &RunResult) -> Section {
    let model = &result.model;
    let about = format!(
        "{} parameters, {} MACs; {}, {} semantics{}",
        grouped(model.parameters),
        rounded(model.macs),
        result.strategy,
        result.semantics,
        if result.quantizer == "square-root" { ", square roots" } else { "" },
    );
    Section {
        title: model.name.clone(),
        about: Some(Sentence::from(about)),
        statements: rounded_before(model)
            .into_iter()
            .chain(statements(result.preprocessing.as_ref(), result.float_network.as_ref()))
            .collect(),
        ..Section::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::text_width;
    use crate::result::{
        BudgetResult, BudgetStep, CodeResult, ComparedResult, FloatResult, FormatResult,
        HolderResult, LayerResult, MaxLossResult, PreprocessingResult, SetResult,
    };
    use fixedwise_search::strategies::{
        Kind,
        pareto::{Explanation, FrontPlan, Held, Remedy, Share},
    };

    fn result() -> RunResult {
        let format = |bits, frac, signed, count| FormatResult {
            bits,
            frac: Some(frac),
            signed,
            full: false,
            bipolar: false,
            count,
        };
        let set = SetResult {
            n: 5000,
            float: 0.9124,
            fixed: 0.9046,
            float_correct: 4562,
            fixed_correct: 4523,
            relative_loss: 0.008_549,
            lost: 61,
            gained: 22,
            interval95: [0.004_71, 0.012_4],
            ..SetResult::default()
        };
        let mut result = RunResult {
            strategy: "joint".to_owned(),
            bound_met: true,
            max_loss: Some(MaxLossResult { value: 0.01, kind: "relative".to_owned() }),
            flash_bytes: 12_345,
            peak_ram_bytes: 34_567,
            evaluations: 1234,
            images_evaluated: 3_456_789,
            seconds: 43.21,
            layers: vec![LayerResult {
                name: "block1/branch2/convolution_17".to_owned(),
                op: "Conv".to_owned(),
                output_shape: [112, 112, 128],
                macs: 123_456_789,
                accumulator_bits: 27,
                weights: format(12, 10, true, 9216),
                coarser: vec![],
                dropped_channels: vec![],
                bias: FormatResult {
                    bits: 32,
                    frac: Some(13),
                    signed: true,
                    full: false,
                    bipolar: false,
                    count: 32,
                },
                activation: format(12, -3, false, 21_632),
            }],
            ..RunResult::default()
        };
        result.model.name = "fashion_small".to_owned();
        result.images.calibration = 2000;
        result.accuracy.search = Some(set);
        result.accuracy.test = Some(SetResult { relative_loss: 0.011, ..set });
        let compared = |plan, uniform8, reduction| ComparedResult { plan, uniform8, reduction };
        result.effective_bit_operations = Some(compared(987_654_321, 9_876_543_210, 0.9));
        result.entropy_coded_bytes = Some(compared(543_210, 1_234_567, 0.56));
        result.memory_bits.weights = 7_654_321;
        result.memory_bits.biases = 654_321;
        result.memory_bits.activations = 87_654_321;
        result.memory_bits.total = 95_962_963;
        result.memory_bits.uniform8_total = 195_962_963;
        result.memory_bits.reduction = 0.51;
        result
    }

    fn wide(result: &RunResult) -> String {
        summary(result, &TextOptions { columns: 120, ..TextOptions::default() })
    }

    fn plain(result: &RunResult) -> String {
        summary(result, &TextOptions::default())
    }

    #[test]
    fn the_summary_fits_a_terminal() {
        let text = plain(&result());
        assert!(text.contains("  weights, coded") && text.contains("    effective"), "{text}");
        let target = Some("a-board-with-a-long-name".to_owned());
        let named = RunResult { target, io_bytes: Some(150_528), ..result() };
        for line in text.lines().chain(plain(&named).lines()) {
            assert!(text_width(line) <= 80, "{} columns: {line}", text_width(line));
        }
        assert!(!text.contains('\x1b'));
        assert!(
            summary(&result(), &TextOptions { color: true, ..TextOptions::default() })
                .contains('\x1b')
        );
    }

    #[test]
    fn the_first_lines_tell_what_is_fed_and_what_looks_wrong() {
        let fed = PreprocessingResult {
            preprocess: "scale=1/255".parse().unwrap(),
            ..Default::default()
        };
        let float = FloatResult {
            images: 5000,
            classes: 10,
            correct: Some(570),
            warnings: vec![
                "The float network does little better than chance: check all. ".repeat(3),
            ],
            ..FloatResult::default()
        };
        let (preprocessing, float_network) = (Some(fed), Some(float));
        let text = summary(
            &RunResult { preprocessing, float_network, ..result() },
            &TextOptions::default(),
        );
        let mut lines = text.lines().skip(1);
        assert_eq!(
            lines.next(),
            Some("pixels / 255 (default); float network: 11.4 % of 5,000 images, chance is 10 %")
        );
        assert!(lines.next().unwrap().starts_with("! The float network does little"), "{text}");
        assert!(lines.take(2).all(|line| line.starts_with("  ") && line.chars().count() <= 80));
    }

    #[test]
    fn the_verdict_is_honest_about_the_test_images() {
        let text = plain(&result());
        let expected = "\
✓ The search set meets the bound, 1 % of the float accuracy: loss 0.85 % (95 %
  interval 0.47 to 1.24 %, 5,000 images).
! The held-out test set does not meet it: loss 1.10 % (95 % interval 0.47 to
  1.24 %, 5,000 images).
";
        assert!(text.contains(expected), "{text}");
        // All of the interval within the bound: nothing is left to doubt.
        let mut sure = result();
        sure.accuracy.search =
            sure.accuracy.search.map(|set| SetResult { interval95: [0.001, 0.009], ..set });
        assert!(plain(&sure).contains("of the float accuracy: loss 0.85 %.\n"));
        // An interval within the bound that is wider than it: the images are few.
        let mut few = result();
        few.accuracy.search = few.accuracy.search.map(|set| SetResult {
            relative_loss: 0.002,
            interval95: [-0.005, 0.009],
            n: 300,
            ..set
        });
        let text = plain(&few);
        let expected = "loss 0.20 % (95 %\n  interval -0.50 to 0.90 %, 300 images).\n";
        assert!(text.contains(expected), "{text}");
        let mut within = result();
        within.accuracy.test = within.accuracy.search;
        assert!(plain(&within).contains("meets it too"));
        let missed = RunResult { bound_met: false, ..result() };
        assert!(plain(&missed).contains("✗ The bound, 1 % of the float accuracy, is not"));
    }

    #[test]
    fn a_budget_that_is_not_met_says_what_would_have_to_give() {
        let mut result = RunResult { target: Some("cortex-m0".to_owned()), ..result() };
        let holder = |name: &str, bytes| HolderResult { name: name.to_owned(), bytes, rows: None };
        let met = BudgetResult {
            memory: "flash".to_owned(),
            limit_bytes: 65_536,
            bytes: 12_345,
            is_met: true,
            least_bytes: None,
            packed_bytes: None,
            holders: Vec::new(),
            steps: Vec::new(),
        };
        let short = BudgetResult {
            memory: "ram".to_owned(),
            limit_bytes: 20_480,
            bytes: 34_567,
            is_met: false,
            least_bytes: Some(30_000),
            packed_bytes: Some(25_000),
            holders: vec![holder("conv2d_1", 21_632), holder("conv2d_2 (working memory)", 288)],
            steps: vec![BudgetStep {
                name: "conv2d_1".to_owned(),
                kind: "activations".to_owned(),
                bits: 12,
                next_bits: 8,
                saved_bytes: 10_816,
                was_tried: true,
                loss: Some(0.0183),
                added_error: None,
            }],
        };
        result.budgets = vec![met, short];
        result.code = Some(CodeResult {
            kernels: "fast".to_owned(),
            reason: "enough".to_owned(),
            bytes: 4_345,
            processor: "cortex-m0".to_owned(),
            compiler: "arm-none-eabi-gcc 12.2.1".to_owned(),
            optimization: "-O2".to_owned(),
            other_flash_bytes: Some(10_000),
        });
        result.constant_bytes = Some(8_000);
        assert!(!result.fits());
        let text = wide(&result);
        for expected in [
            "✓ Flash needs 12,345 of 65,536 bytes, 4,345 of these for code.\n",
            "constants 7.8 KiB + fast code 4.2 KiB, cortex-m0\n",
            "code as arm-none-eabi-gcc 12.2.1 makes it for cortex-m0 with -O2\n",
            "fast kernels; with --code small 9.8 KiB of flash, but slower\n",
            "✗ RAM needs 34,567 bytes, 14,087 more than the budget of 20,480.\n",
            "    The narrowest widths of cortex-m0 need 30,000 bytes: the network is too large.\n",
            "    at the peak: conv2d_1, 21,632 bytes\n",
            "    conv2d_1: activations with 8 bits would save 10,816 bytes; measured loss: 1.83 %\n",
            "    With 4-bit activations in a target file (activation_bits with a 4) it needs at least \
             25,000 bytes.\n",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
        assert!(!text.contains("larger --max-loss"), "nothing that is narrower would fit: {text}");
        result.budgets[1].least_bytes = Some(20_000);
        let expected = "    The loss is 0.85 %; the narrowest widths need 20,000 bytes, and a larger \
                        --max-loss allows narrower ones.\n";
        let text = wide(&result);
        assert!(text.contains(expected) && !text.contains("4-bit"), "{text}");
        // A width that was measured alone says what it does; whoever only evaluates has no bound to change.
        result.budgets[1].steps[0].loss = None;
        result.budgets[1].steps[0].added_error = Some(0.254);
        "given".clone_into(&mut result.strategy);
        let text = wide(&result);
        assert!(text.contains("bytes; alone adds 25 % to the error of the plan\n"), "{text}");
        assert!(!text.contains("larger --max-loss"), "{text}");
        assert!(plain(&result).lines().all(|line| text_width(line) <= 80));

        // A plan that was measured and fits says more.
        let plan = |ram_bytes, loss| FrontPlan {
            flash_bytes: Some(9_000),
            ram_bytes: Some(ram_bytes),
            loss: Some(loss),
            held_loss: loss + 0.0052,
            ..FrontPlan::default()
        };
        result.front = vec![plan(20_481, 0.01), plan(20_480, 0.05), plan(20_000, 0.03)];
        let text = plain(&result);
        let expected = "! A plan within the budget loses 3.00 %; --max-loss 3.6% would allow it.\n";
        assert!(text.contains(expected) && !text.contains("a larger --max-loss"), "{text}");
    }

    #[test]
    fn a_loss_well_below_the_bound_has_a_reason() {
        let set = result().accuracy.search.map(|set| SetResult { relative_loss: 0.004, ..set });
        let held = Held {
            limit: 0.01,
            counted: 0.004,
            likely: 0.0045,
            margin: 0.0052,
            images: 5000,
            is_narrowest: false,
        };
        let words =
            |result: &RunResult| wide(result).split_whitespace().collect::<Vec<_>>().join(" ");
        let mut result = RunResult { strategy: "pareto".to_owned(), held: Some(held), ..result() };
        result.accuracy.search = set;
        let plan =
            |memory_bits, held_loss| FrontPlan { memory_bits, held_loss, ..FrontPlan::default() };
        let total = result.memory_bits.total;
        result.front =
            vec![plan(total / 2, 0.02), plan(total / 100 * 99, 0.0112), plan(total + 1, 0.0101)];
        let text = words(&result);
        for expected in [
            "Why the loss stays below the bound:",
            "the likely loss, 0.45 % (counted and expected), keeps a margin of 0.52 points for \
             unseen images, from 5,000 search images; with 20,000 the margin would be 0.26 points",
            "the nearest smaller plan that was measured takes 1.0 % less and comes to 1.12 %, margin \
             included",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
        result.held = Some(Held { is_narrowest: true, ..held });
        let text = wide(&result);
        assert!(text.contains("nothing narrower exists") && !text.contains("margin"), "{text}");
        result.held = Some(Held { counted: 0.0093, ..held });
        assert!(!wide(&result).contains("Why the loss"), "it is near");
        let missed = RunResult { bound_met: false, held: Some(held), ..result };
        assert!(!wide(&missed).contains("Why the loss"), "it is beyond");
    }

    #[test]
    fn what_helps_by_nothing_is_not_said() {
        let share = |weights| Share { name: "conv2d_1".to_owned(), weights, ..Share::default() };
        let remedy = |divergence| Remedy {
            name: "conv2d_2".to_owned(),
            kind: Kind::Activations,
            bits: [4, 5],
            divergence,
            memory_bits: 100,
        };
        let explained = |share, remedy| {
            let explanation =
                Explanation { divergence: 1.0, shares: vec![share], remedy: Some(remedy) };
            wide(&RunResult { explanation: Some(explanation), ..result() })
        };
        let text = explained(share(0.004), remedy(0.004));
        assert!(!text.contains("remaining error") && !text.contains("would help most"), "{text}");
        let text = explained(share(0.006), remedy(0.006));
        assert!(
            text.contains("weights, 1 %") && text.contains("4 to 5 bits: 1 % less error"),
            "{text}"
        );
    }
}
