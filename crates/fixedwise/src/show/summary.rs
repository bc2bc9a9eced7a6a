//! What a person reads at the end of a run.

use super::table::{
    Align, Style, Table, add_line, bar, grouped, kilobytes, percent, rounded, shortened, styled,
};
use crate::result::{
    BudgetResult, Ended, FormatResult, LayerResult, MaxLossResult, RunResult, SetResult,
};
use fixedwise_fixed::convert::u64_to_f64;
use fixedwise_search::strategies::pareto::{Explanation, FrontPlan, Limits};

/// Longest name of a layer that is shown in full.
const NAME_WIDTH: usize = 16;

/// Longest name of a target that is shown in full beside numbers.
const TARGET_WIDTH: usize = 14;

/// The whole result as text of at most 100 columns: layers, costs, accuracy, verdict; with ANSI
/// colors where `color` says so.
///
/// ```
/// use fixedwise::{RunResult, summary};
///
/// let text = summary(&RunResult::default(), false);
/// assert!(text.contains("memory"));
/// ```
pub fn summary(result: &RunResult, color: bool) -> String {
    let mut out = String::new();
    let heading = |text: &str| styled(text, Style::Bold, color);
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let model = &result.model;
    line(format!(
        "{}  {} parameters, {} MACs an image; strategy {}, {} semantics{}",
        heading(&model.name),
        grouped(model.parameters),
        rounded(model.macs),
        result.strategy,
        result.semantics,
        if result.quantizer == "square-root" { ", square roots" } else { "" },
    ));
    line(String::new());
    line(heading("Layers"));
    layers(result, color, &mut out);
    out.push('\n');
    add_line(&mut out, format_args!("{}", heading("Costs")));
    costs(result, color, &mut out);
    out.push('\n');
    add_line(&mut out, format_args!("{}", heading("Accuracy")));
    accuracy(result, color, &mut out);
    out.push('\n');
    out.push_str(&verdict(result, color));
    out
}

/// `s5 F9`: sign, width, fractional offset.
fn format_text(format: &FormatResult) -> String {
    match format.frac {
        None if format.bits == 32 => "float".to_owned(),
        None => format!("s{}", format.bits),
        Some(frac) => {
            let sign = if format.signed { 's' } else { 'u' };
            format!("{sign}{} F{frac}", format.bits)
        }
    }
}

fn layers(result: &RunResult, color: bool, out: &mut String) {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("layer", Left, Style::Plain),
        ("operator", Left, Style::Dim),
        ("output", Right, Style::Dim),
        ("MACs", Right, Style::Plain),
        ("weights", Left, Style::Weights),
        ("bias", Left, Style::Plain),
        ("activation", Left, Style::Activations),
        ("acc", Right, Style::Plain),
        ("weights", Left, Style::Weights),
        ("activ.", Left, Style::Activations),
    ]);
    for layer in &result.layers {
        let [h, w, c] = layer.output_shape;
        let shape = if h == 1 && w == 1 { c.to_string() } else { format!("{h}x{w}x{c}") };
        let acc = layer.accumulator_bits;
        table.row(vec![
            shortened(&layer.name, NAME_WIDTH),
            layer.op.clone(),
            shape,
            rounded(layer.macs),
            format!("{}{}", format_text(&layer.weights), own_points(layer)),
            format_text(&layer.bias),
            format_text(&layer.activation),
            if acc == 0 { "-".to_owned() } else { acc.to_string() },
            bar(layer.weights.bits),
            bar(layer.activation.bits),
        ]);
    }
    for other in &result.others {
        table.row(vec![
            shortened(&other.name, NAME_WIDTH),
            other.op.clone(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            format_text(&other.activation),
            String::new(),
            String::new(),
            bar(other.activation.bits),
        ]);
    }
    table.render(color, out);
    let note = "  s5 F9: signed, 5 bits (BW), steps of 2^-9 (F); u: unsigned; acc: bits of the \
                largest sum, proved";
    out.push_str(&styled(note, Style::Dim, color));
    out.push('\n');
    if result.layers.iter().any(|layer| !layer.coarser.is_empty()) {
        let note = "  *: each output channel has its own F, at most this one";
        out.push_str(&styled(note, Style::Dim, color));
        out.push('\n');
    }
}

/// Marks weights whose output channels have binary points of their own.
fn own_points(layer: &LayerResult) -> &'static str {
    if layer.coarser.is_empty() { "" } else { "*" }
}

fn costs(result: &RunResult, color: bool, out: &mut String) {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("", Left, Style::Plain),
        ("this plan", Right, Style::Bold),
        ("all 8 bit", Right, Style::Plain),
        ("saved", Right, Style::Good),
        ("", Left, Style::Dim),
    ]);
    let memory = &result.memory_bits;
    let bytes = |bits: u64| kilobytes(u64_to_f64(bits) / 8.0);
    let saved = |fraction: f64| format!("{:.1} %", fraction * 100.0);
    let text = str::to_owned;
    table.row(vec![
        text("memory"),
        bytes(memory.total),
        bytes(memory.uniform8_total),
        saved(memory.reduction),
        format!(
            "weights {}, biases {}, activations {}",
            bytes(memory.weights),
            bytes(memory.biases),
            bytes(memory.activations)
        ),
    ]);
    let cost = &result.multiplication_cost;
    table.row(vec![
        text("multiplications"),
        rounded(cost.operand),
        rounded(cost.operand_uniform8),
        saved(cost.operand_reduction),
        text("bits x bits of what enters the multipliers"),
    ]);
    table.row(vec![
        text("  paper's count"),
        rounded(cost.paper),
        rounded(cost.paper_uniform8),
        saved(cost.paper_reduction),
        text("bits x bits of the layer's output"),
    ]);
    table.row(vec![
        text("flash"),
        kilobytes(u64_to_f64(result.flash_bytes)),
        String::new(),
        String::new(),
        match &result.target {
            Some(target) => {
                let target = shortened(target, TARGET_WIDTH);
                format!("constants on {target}; code comes on top")
            }
            None => text("weights and biases, packed"),
        },
    ]);
    table.row(vec![
        text("peak RAM"),
        kilobytes(u64_to_f64(result.peak_ram_bytes)),
        String::new(),
        String::new(),
        match (&result.target, result.io_bytes) {
            (Some(target), Some(io)) => {
                let (target, io) = (shortened(target, TARGET_WIDTH), kilobytes(u64_to_f64(io)));
                format!("arena on {target}; {io} for input, result")
            }
            _ => text("buffers of one image in this executor"),
        },
    ]);
    table.render(color, out);
}

/// Where outputs count as values.
fn values(result: &RunResult, color: bool, out: &mut String) {
    use Align::{Left, Right};
    let is_sqnr = result.metric == "sqnr";
    let columns: &[_] = if is_sqnr {
        &[("", Left, Style::Plain), ("images", Right, Style::Plain), ("SQNR", Right, Style::Bold)]
    } else {
        &[
            ("", Left, Style::Plain),
            ("images", Right, Style::Plain),
            ("float", Right, Style::Plain),
            ("fixed", Right, Style::Bold),
        ]
    };
    let mut table = Table::new(columns);
    let sets = [("search", &result.accuracy.search), ("test", &result.accuracy.test)];
    for (name, set) in sets {
        let Some(set) = set else { continue };
        let mut row = vec![name.to_owned(), grouped(set.n)];
        match (set.sqnr_db, set.metric) {
            (Some(db), _) => row.push(format!("{db:.2} dB")),
            (None, Some(both)) => row.extend(both.map(|value| format!("{value:.6}"))),
            _ => continue,
        }
        table.row(row);
    }
    table.render(color, out);
    let note = if is_sqnr {
        "  signal to quantization noise of the outputs, against the float network's"
    } else {
        "  what the metric command says of the outputs; greater is better"
    };
    add_line(out, format_args!("{}", styled(note, Style::Dim, color)));
}

fn accuracy(result: &RunResult, color: bool, out: &mut String) {
    use Align::{Left, Right};
    if ["sqnr", "command"].contains(&result.metric.as_str()) {
        return values(result, color, out);
    }
    let mut table = Table::new(&[
        ("", Left, Style::Plain),
        ("images", Right, Style::Plain),
        ("float", Right, Style::Plain),
        ("fixed", Right, Style::Bold),
        ("relative loss", Right, Style::Bold),
        ("95 % interval", Right, Style::Plain),
        ("lost", Right, Style::Plain),
        ("gained", Right, Style::Plain),
    ]);
    let sets = [("search", &result.accuracy.search), ("test", &result.accuracy.test)];
    for (name, set) in sets {
        let Some(set) = set else { continue };
        let [low, high] = set.interval95;
        table.row(vec![
            name.to_owned(),
            grouped(set.n),
            percent(set.float),
            percent(set.fixed),
            percent(set.relative_loss),
            format!("{} to {}", percent(low), percent(high)),
            grouped(set.lost),
            grouped(set.gained),
        ]);
    }
    table.render(color, out);
    let calibration = match result.images.calibration {
        0 => String::new(),
        n => format!("{} other images gave the ranges; ", grouped(n)),
    };
    let note =
        format!("  {calibration}lost: only the float network is right, gained: only the fixed");
    let note = if result.metric == "agreement" {
        format!("  {calibration}no labels: what counts is agreement with the float network")
    } else {
        note
    };
    out.push_str(&styled(&note, Style::Dim, color));
    out.push('\n');
}

fn verdict(result: &RunResult, color: bool) -> String {
    let mut text = String::new();
    let mut line = |mark: &str, style: Style, sentence: String| {
        add_line(&mut text, format_args!("{} {sentence}", styled(mark, style, color)));
    };
    if let Some(max_loss) = &result.max_loss {
        let bound = match max_loss.kind.as_str() {
            "sqnr-db" => format!("{} dB between signal and noise", max_loss.value),
            "metric" => format!("{} % of what the command says", max_loss.value * 100.0),
            "points" => format!("{} percentage points", max_loss.value * 100.0),
            _ => format!("{} % of the float accuracy", max_loss.value * 100.0),
        };
        // Binary fractions of percents have long tails.
        let bound = tidy(&bound);
        let loss = |set: &SetResult| match max_loss.kind.as_str() {
            "points" => set.float - set.fixed,
            // More is better.
            "sqnr-db" => 2.0 * max_loss.value - set.sqnr_db.unwrap_or(f64::INFINITY),
            "metric" => set.metric.map_or(0.0, |[float, fixed]| (float - fixed) / float.abs()),
            _ => set.relative_loss,
        };
        if result.bound_met {
            line("✓", Style::Good, format!("The search images keep to the bound, {bound}."));
        } else {
            let sentence = format!("The bound, {bound}, is out of reach; this is the best so far.");
            line("✗", Style::Bad, sentence);
        }
        if result.accuracy.test.is_none() {
            let sentence = "No image was kept to test on: what other images lose is not known.";
            line("!", Style::Bad, sentence.to_owned());
        }
        if let Some(test) = &result.accuracy.test
            && result.bound_met
        {
            let is_within = loss(test) <= max_loss.value;
            let (mark, style, words) = if is_within {
                ("✓", Style::Good, "keep to it too")
            } else {
                ("!", Style::Bad, "do not keep to it: tighten --max-loss or give more images")
            };
            line(mark, style, format!("The test images, which decided nothing, {words}."));
        }
    }
    for budget in &result.budgets {
        let (mark, style) = if budget.is_met { ("✓", Style::Good) } else { ("✗", Style::Bad) };
        line(mark, style, budget_text(budget, result));
    }
    if let Some(plan) = fitting(result) {
        let (loss, held) = (percent(plan.loss.unwrap_or_default()), plan.held_loss);
        let limit = (held * 1000.0).floor() / 10.0 + 0.1;
        let sentence =
            format!("A plan that fits loses {loss}; --max-loss {limit:.1}% would allow it.");
        line("!", Style::Bad, sentence);
    }
    match result.ended {
        Ended::Completed => {}
        Ended::TimeBudget => {
            line("!", Style::Bad, "The time budget ended the search early.".to_owned());
        }
        Ended::Interrupted => line("!", Style::Bad, "The search was interrupted.".to_owned()),
    }
    if let Some(explanation) = &result.explanation {
        text.push_str(&explained(explanation, result, color));
    }
    let done = format!(
        "{} plans measured, {} images run, {:.1} s",
        grouped(result.evaluations),
        grouped(result.images_evaluated),
        result.seconds
    );
    text.push_str(&styled(&done, Style::Dim, color));
    text.push('\n');
    text
}

/// What the loss comes from, and what would help.
fn explained(explanation: &Explanation, result: &RunResult, color: bool) -> String {
    /// Sources that are named.
    const NAMED: usize = 3;
    let mut sources: Vec<(f64, &str, &str)> = Vec::new();
    for share in &explanation.shares {
        let parts = [
            (share.weights, "weights"),
            (share.bias, "bias"),
            (share.clipping, "clipping"),
            (share.rounding, "rounding of the result"),
            (share.alignment, "alignment"),
        ];
        sources.extend(parts.map(|(fall, what)| (fall, share.name.as_str(), what)));
    }
    sources.retain(|source| source.0 > 0.0);
    sources.sort_by(|a, b| b.0.total_cmp(&a.0));
    let part = |fall: f64| format!("{:.0} %", 100.0 * fall / explanation.divergence.max(1e-12));
    let mut text = String::new();
    let mut line =
        |line: String| add_line(&mut text, format_args!("{}", styled(&line, Style::Dim, color)));
    if !sources.is_empty() {
        line("What the plan changes goes, by so much, without:".to_owned());
    }
    for (fall, name, what) in sources.iter().take(NAMED) {
        line(format!("    {}: {what}, {}", shortened(name, 40), part(*fall)));
    }
    if let Some(remedy) = &explanation.remedy {
        let [from, to] = remedy.bits;
        let more = 100.0 * u64_to_f64(remedy.memory_bits)
            / u64_to_f64(result.memory_bits.uniform8_total.max(1));
        let name = shortened(&remedy.name, 40);
        let (kind, less) = (remedy.kind.name(), part(remedy.divergence));
        line("One wider tensor would help most:".to_owned());
        line(format!(
            "    {name}: {kind}, {from} to {to} bits, {less} less for {more:.1} % of memory"
        ));
    }
    text
}

/// Where the plan exceeds a budget: of those that were measured and do not, the one with the least loss.
fn fitting(result: &RunResult) -> Option<&FrontPlan> {
    let is_of_accuracy =
        |bound: &MaxLossResult| ["relative", "points"].contains(&bound.kind.as_str());
    if result.fits() || !result.max_loss.as_ref().is_some_and(is_of_accuracy) {
        return None;
    }
    let limit = |memory: &str| {
        let budget = result.budgets.iter().find(|budget| budget.memory == memory);
        budget.map(|budget| budget.limit_bytes)
    };
    let limits = Limits { flash_bytes: limit("flash"), ram_bytes: limit("ram") };
    let fits = |plan: &&FrontPlan| plan.loss.is_some() && plan.fits(limits);
    result.front.iter().filter(fits).min_by(|a, b| a.held_loss.total_cmp(&b.held_loss))
}

/// What a budget of memory has come to, and what would have to give.
fn budget_text(budget: &BudgetResult, result: &RunResult) -> String {
    let name = if budget.memory == "ram" { "RAM" } else { "Flash" };
    let target = result.target.as_deref().unwrap_or_default();
    let (bytes, limit) = (grouped(budget.bytes), grouped(budget.limit_bytes));
    if budget.is_met {
        let more = if budget.memory == "ram" { "" } else { " Code comes on top." };
        return format!("{name} takes {bytes} of {limit} bytes.{more}");
    }
    let short = grouped(budget.bytes - budget.limit_bytes);
    let mut text = format!("{name} takes {bytes} bytes, {short} more than the {limit} there are.");
    let mut add = |line: String| text.push_str(&format!("\n    {line}"));
    if let Some(least) = budget.least_bytes
        && least > budget.limit_bytes
    {
        let least = grouped(least);
        add(format!(
            "No widths that {target} stores take less than {least}: the network is too large."
        ));
    }
    let place = if budget.memory == "ram" { "at the peak" } else { "most" };
    for holder in &budget.holders {
        let name = shortened(&holder.name, 40);
        add(format!("{place}: {name}, {} bytes", grouped(holder.bytes)));
    }
    for step in &budget.steps {
        let loss = match step.loss {
            Some(loss) => format!("its loss was {}", percent(loss)),
            None if step.was_tried => "tried, it lost more than was left".to_owned(),
            None => "not tried".to_owned(),
        };
        let (name, saved) = (shortened(&step.name, 24), grouped(step.saved_bytes));
        let (kind, bits) = (&step.kind, step.next_bits);
        let unit = if bits == 1 { "bit" } else { "bits" };
        add(format!("{name}: {kind} of {bits} {unit} would save {saved} bytes; {loss}"));
    }
    let relative = result.accuracy.search.map(|set| set.relative_loss);
    let is_open = result.bound_met && !budget.steps.is_empty() && fitting(result).is_none();
    if let (true, Some(loss)) = (is_open, relative) {
        let loss = percent(loss);
        add(format!("The loss so far is {loss}: a larger --max-loss lets more formats through."));
    }
    text
}

/// The number that begins `text`, to six digits.
fn tidy(text: &str) -> String {
    let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
    let Ok(number) = number.parse::<f64>() else { return text.to_owned() };
    let rounded = format!("{number:.6}");
    format!("{} {rest}", rounded.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{BudgetStep, HolderResult};

    fn result() -> RunResult {
        let format = |bits, frac, signed, count| FormatResult {
            bits,
            frac: Some(frac),
            signed,
            full: false,
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
                bias: FormatResult {
                    bits: 32,
                    frac: Some(13),
                    signed: true,
                    full: false,
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
        result.memory_bits.weights = 7_654_321;
        result.memory_bits.biases = 654_321;
        result.memory_bits.activations = 87_654_321;
        result.memory_bits.total = 95_962_963;
        result.memory_bits.uniform8_total = 195_962_963;
        result.memory_bits.reduction = 0.51;
        result
    }

    #[test]
    fn the_summary_fits_a_terminal() {
        let text = summary(&result(), false);
        let target = Some("a-board-with-a-long-name".to_owned());
        let named = RunResult { target, io_bytes: Some(150_528), ..result() };
        for line in text.lines().chain(summary(&named, false).lines()) {
            assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
        }
        assert!(!text.contains('\x1b'));
        assert!(summary(&result(), true).contains('\x1b'));
    }

    #[test]
    fn the_verdict_is_honest_about_the_test_images() {
        let text = summary(&result(), false);
        assert!(text.contains("✓ The search images keep to the bound, 1 % of the float accuracy."));
        assert!(text.contains("! The test images, which decided nothing, do not keep to it"));
        let mut within = result();
        within.accuracy.test = within.accuracy.search;
        assert!(summary(&within, false).contains("keep to it too"));
        let missed = RunResult { bound_met: false, ..result() };
        assert!(summary(&missed, false).contains("✗ The bound, 1 % of the float accuracy, is out"));
    }

    #[test]
    fn a_budget_that_is_not_met_says_what_would_have_to_give() {
        let mut result = RunResult { target: Some("cortex-m0".to_owned()), ..result() };
        let holder = |name: &str, bytes| HolderResult { name: name.to_owned(), bytes };
        let met = BudgetResult {
            memory: "flash".to_owned(),
            limit_bytes: 65_536,
            bytes: 12_345,
            is_met: true,
            least_bytes: None,
            holders: Vec::new(),
            steps: Vec::new(),
        };
        let short = BudgetResult {
            memory: "ram".to_owned(),
            limit_bytes: 20_480,
            bytes: 34_567,
            is_met: false,
            least_bytes: Some(30_000),
            holders: vec![holder("conv2d_1", 21_632), holder("conv2d_2 (working memory)", 288)],
            steps: vec![BudgetStep {
                name: "conv2d_1".to_owned(),
                kind: "activations".to_owned(),
                bits: 12,
                next_bits: 8,
                saved_bytes: 10_816,
                was_tried: true,
                loss: Some(0.0183),
            }],
        };
        result.budgets = vec![met, short];
        assert!(!result.fits());
        let text = summary(&result, false);
        for expected in [
            "✓ Flash takes 12,345 of 65,536 bytes. Code comes on top.\n",
            "✗ RAM takes 34,567 bytes, 14,087 more than the 20,480 there are.\n",
            "    No widths that cortex-m0 stores take less than 30,000: the network is too large.\n",
            "    at the peak: conv2d_1, 21,632 bytes\n",
            "    conv2d_1: activations of 8 bits would save 10,816 bytes; its loss was 1.83 %\n",
            "    The loss so far is 0.85 %: a larger --max-loss lets more formats through.\n",
        ] {
            assert!(text.contains(expected), "{expected}{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");

        // A plan that was measured and fits says more.
        let plan = |ram_bytes, loss| FrontPlan {
            flash_bytes: Some(9_000),
            ram_bytes: Some(ram_bytes),
            loss: Some(loss),
            held_loss: loss + 0.0052,
            ..FrontPlan::default()
        };
        result.front = vec![plan(20_481, 0.01), plan(20_480, 0.05), plan(20_000, 0.03)];
        let text = summary(&result, false);
        let expected = "! A plan that fits loses 3.00 %; --max-loss 3.6% would allow it.\n";
        assert!(text.contains(expected) && !text.contains("a larger --max-loss"), "{text}");
    }

    #[test]
    fn formats_are_short() {
        let of = |bits, frac, signed| {
            format_text(&FormatResult { bits, frac, signed, full: false, count: 1 })
        };
        assert_eq!(of(5, Some(9), true), "s5 F9");
        assert_eq!(of(6, Some(-3), false), "u6 F-3");
        assert_eq!(of(32, None, true), "float");
    }
}
