//! Whether the plan keeps to what was asked for, and what would help where it does not.

use super::super::{
    numbers::{figure_title, grouped, interval_text, loss_interval_text, loss_text, percent},
    report::{Mark, Section, Sentence, Statement},
};
use crate::result::{
    AGREEMENT, BudgetResult, ClassLossResult, Ended, MaxLossResult, RunResult, SetResult,
};
use crate::watch::why_not;
use fixedwise_fixed::convert::{count_to_u64, u64_to_f64};
use fixedwise_search::{
    reconstruct::Method,
    strategies::pareto::{Explanation, FrontPlan, Limits},
};

pub(super) fn section(result: &RunResult) -> Section {
    let mut statements = Vec::new();
    if let Some(max_loss) = &result.max_loss {
        statements.extend(bound(max_loss, result));
    }
    statements.extend(class_bound(result));
    statements.extend(result.budgets.iter().map(|each| budget(each, result)));
    if let Some(plan) = fitting(result) {
        let (loss, held) = (percent(plan.loss.unwrap_or_default()), plan.held_loss);
        let limit = (held * 1000.0).floor() / 10.0 + 0.1;
        let text = format!(
            "A plan within the budget loses {loss}; --max-loss {limit:.1}% would \
                            allow it."
        );
        statements.push(say(Mark::Attention, text));
    }
    match result.ended {
        Ended::Completed => {}
        Ended::TimeBudget => {
            statements.push(say(Mark::Attention, "The time limit ended the search early."));
        }
        Ended::Interrupted => statements.push(say(Mark::Attention, "The search was interrupted.")),
    }
    if result.weight_rounding == Some(Method::Nearest) {
        let text = "Rounding the weights for the calibration images did harm on the search images: each weight is \
                    rounded to the nearest integer instead. More calibration images, or some that look like the search \
                    images, would allow fewer bits.";
        statements.push(say(Mark::Attention, text));
    }
    statements.extend(tuned(result));
    statements.extend(below(result));
    if let Some(explanation) = &result.explanation {
        statements.extend(explained(explanation, result));
    }
    let done = format!(
        "{} {} measured, {} images run, {:.1} s",
        grouped(result.evaluations),
        if result.evaluations == 1 { "plan" } else { "plans" },
        grouped(result.images_evaluated),
        result.seconds
    );
    Section { statements, notes: vec![done.into()], ..Section::default() }
}

/// What tuning has given, and what it took.
fn tuned(result: &RunResult) -> Option<Statement> {
    let tuned = result.tuned.as_ref()?;
    if let Some(problem) = &tuned.problem {
        return Some(say(Mark::Attention, capital(&why_not(problem))));
    }
    let memory = |bits: u64| {
        percent(1.0 - u64_to_f64(bits) / u64_to_f64(result.memory_bits.uniform8_total.max(1)))
    };
    // Where steps were asked for, no clock was looked at.
    let long = if tuned.seconds > 0.0 {
        format!("{:.0} s", tuned.seconds)
    } else {
        format!("{} steps", grouped(count_to_u64(tuned.steps)))
    };
    let took = format!(
        "{} images without labels, {} images run, {long}",
        grouped(count_to_u64(tuned.images)),
        grouped(tuned.images_run),
    );
    let astray = match tuned.diverged {
        0 => String::new(),
        n => format!("; {n} of its trainings went astray and were rolled back"),
    };
    let before = memory(tuned.untuned.memory_bits);
    Some(if tuned.is_better {
        let now = memory(result.memory_bits.total);
        let gained = if now == before {
            format!(
                "Tuning brings the plan closer to the float network; it saves {now} of the memory as before"
            )
        } else {
            format!("Tuning saves {now} of the memory, without it {before}")
        };
        say(Mark::Good, format!("{gained} ({took}){astray}."))
    } else {
        let text = format!(
            "Tuning found no better plan than the search, which saves {before} ({took}){astray}."
        );
        say(Mark::Attention, text)
    })
}

/// A text that begins a sentence and ends one.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn say(mark: Mark, text: impl Into<String>) -> Statement {
    Statement { mark: Some(mark), text: Sentence::from(text.into()), details: Vec::new() }
}

fn remark(text: &str, details: Vec<Sentence>) -> Statement {
    Statement { mark: None, text: text.into(), details }
}

/// What the bound has come to, on the images that decided and on those that did not.
fn bound(max_loss: &MaxLossResult, result: &RunResult) -> Vec<Statement> {
    let bound = match max_loss.kind.as_str() {
        "sqnr-db" => format!("SQNR of {} dB", max_loss.value),
        "metric" if result.metric == "command" => {
            format!("{} % of the metric", max_loss.value * 100.0)
        }
        "metric" => {
            format!("{} % of the float {}", max_loss.value * 100.0, figure_title(&result.metric))
        }
        "metric-points" => {
            format!("{} points of {}", max_loss.value * 100.0, figure_title(&result.metric))
        }
        "metric-db" => format!("{} dB of {}", max_loss.value, figure_title(&result.metric)),
        "relative" if result.metric == "top5" => {
            format!("{} % of the float top-5 accuracy", max_loss.value * 100.0)
        }
        "points" => format!("{} percentage points", max_loss.value * 100.0),
        _ if result.metric == AGREEMENT => {
            format!("{} % of the images with another class", max_loss.value * 100.0)
        }
        _ => format!("{} % of the float accuracy", max_loss.value * 100.0),
    };
    // Binary fractions of percents have long tails.
    let bound = tidy(&bound);
    let (search, test) = (&result.accuracy.search, &result.accuracy.test);
    let found = |set: &SetResult| found(max_loss, set, result.metric == AGREEMENT);
    let searched = search.as_ref().map_or_else(String::new, found);
    // The other bound may be the one that is not met.
    let class_bound = result.class_bound.as_ref().and_then(|bound| bound.search.as_ref());
    let is_class = class_bound.is_some_and(|found| !found.is_met);
    let keeps = |set: &SetResult| loss(max_loss, set) <= max_loss.value;
    let is_met = result.bound_met || is_class && search.as_ref().is_some_and(keeps);
    let mut statements = vec![if is_met {
        say(Mark::Good, format!("The search set meets the bound, {bound}{searched}."))
    } else {
        let text =
            format!("The bound, {bound}, is not met; this is the best plan found{searched}.");
        say(Mark::Bad, text)
    }];
    match test {
        None => statements.push(say(
            Mark::Attention,
            "No held-out test images: the loss on unseen data is unknown.",
        )),
        Some(test) if is_met => {
            let found = found(test);
            statements.push(if keeps(test) {
                say(Mark::Good, format!("The held-out test set meets it too{found}."))
            } else {
                say(Mark::Attention, format!("The held-out test set does not meet it{found}."))
            });
        }
        Some(_) => {}
    }
    statements
}

/// What the bound on the loss of every class has come to, on each set.
fn class_bound(result: &RunResult) -> Vec<Statement> {
    let Some(bound) = &result.class_bound else { return Vec::new() };
    let unit =
        if bound.max_loss.kind == "points" { "percentage points" } else { "% of its recall" };
    let limit = tidy(&format!("{} {unit}", bound.max_loss.value * 100.0));
    let sets = [("search", &bound.search), ("test", &bound.test)];
    let of_set = |(set, found): (&str, &Option<ClassLossResult>)| {
        let found = found.as_ref()?;
        let most = found.class.map_or_else(String::new, |class| {
            format!(": class {} loses most, {}", result.class_name(class), percent(found.loss))
        });
        let (is_bad, text) = match (found.class, found.is_met) {
            (None, _) => {
                (false, format!("No class of the {set} set has enough images to be judged."))
            }
            (_, true) => (false, format!("Every class of the {set} set keeps to {limit}{most}.")),
            (_, false) => {
                (true, format!("Not every class of the {set} set keeps to {limit}{most}."))
            }
        };
        let is_searched = set == "search" || bound.search.is_none();
        let mark = match (found.class.is_some() && found.is_met, is_bad && is_searched) {
            (true, _) => Mark::Good,
            (_, true) => Mark::Bad,
            (false, false) => Mark::Attention,
        };
        let mut said = say(mark, text);
        if !found.not_judged.is_empty() {
            let names: Vec<String> = named(result, &found.not_judged);
            said.details.push(Sentence::from(format!(
                "not judged, with fewer than {} images: {}",
                bound.least_images,
                names.join(", ")
            )));
        }
        Some(said)
    };
    sets.into_iter().filter_map(of_set).collect()
}

/// The names of the first few classes, and how many more there are.
fn named(result: &RunResult, classes: &[u64]) -> Vec<String> {
    const NAMED: usize = 8;
    let first =
        classes.iter().take(NAMED).map(|&class| format!("class {}", result.class_name(class)));
    let more = classes.len().saturating_sub(NAMED);
    first.chain((more > 0).then(|| format!("{} more", grouped(count_to_u64(more))))).collect()
}

/// What is held against the bound.
fn loss(max_loss: &MaxLossResult, set: &SetResult) -> f64 {
    match max_loss.kind.as_str() {
        "points" => set.float - set.fixed,
        // More is better.
        "sqnr-db" => 2.0 * max_loss.value - set.sqnr_db.unwrap_or(f64::INFINITY),
        "metric" | "metric-points" | "metric-db" => match (set.figure, set.metric) {
            (Some(figure), _) => figure.loss,
            (None, Some([float, fixed])) => (float - fixed) / float.abs(),
            (None, None) => 0.0,
        },
        _ => set.relative_loss,
    }
}

/// `: loss 0.47 %`, with its interval where that reaches beyond the bound or is wider than it: the images are
/// few. Nothing for values, which have no interval.
fn found(max_loss: &MaxLossResult, set: &SetResult, is_agreement: bool) -> String {
    if let Some(figure) = &set.figure {
        let (loss, [low, high]) = (loss_text(figure.unit, figure.loss), figure.loss_interval95);
        if high <= max_loss.value && high - low <= max_loss.value {
            return format!(": loss {loss}");
        }
        let interval = loss_interval_text(figure.unit, figure.loss_interval95);
        return format!(": loss {loss} (95 % interval {interval}, {} images)", grouped(set.n));
    }
    let scale = match max_loss.kind.as_str() {
        "points" => set.float,
        "relative" => 1.0,
        _ => return String::new(),
    };
    // Nothing can agree better than the float network with itself.
    let least = if is_agreement { 0.0 } else { -1.0 };
    let interval = set.interval95.map(|end| (end * scale).max(least));
    let loss = percent(loss(max_loss, set));
    let [low, high] = interval;
    if high <= max_loss.value && high - low <= max_loss.value {
        return format!(": loss {loss}");
    }
    let (interval, images) = (interval_text(interval), grouped(set.n));
    format!(": loss {loss} (95 % interval {interval}, {images} images)")
}

/// Strategies that make one tensor after the other as narrow as its bound allows.
const WALKS: [&str; 4] = ["joint", "layer-dependent", "layer-independent", "brute-force"];

/// Why the loss does not come up to the bound, where it stays well below.
fn below(result: &RunResult) -> Option<Statement> {
    /// The part of the bound up to which nobody asks.
    const NEAR: f64 = 0.9;
    let held = result.held.as_ref()?;
    let is_asked = result.bound_met && result.ended == Ended::Completed;
    if !is_asked || held.counted >= NEAR * held.limit {
        return None;
    }
    let points = |loss: f64| format!("{:.2} points", 100.0 * loss);
    let mut details = Vec::new();
    if held.is_narrowest {
        let words = match &result.target {
            Some(target) => {
                Sentence::from("Every tensor that is searched has the narrowest width on ")
                    .and_name(target)
                    .and(": nothing narrower exists.")
            }
            None => {
                "Every tensor that is searched has its narrowest width: nothing narrower exists."
                    .into()
            }
        };
        return Some(remark("Why the loss stays below the bound:", vec![words]));
    }
    let what = if result.confidence.is_some() {
        "the counted loss".to_owned()
    } else {
        format!("the likely loss, {} (counted and expected)", percent(held.likely))
    };
    let images = grouped(count_to_u64(held.images));
    details.push(Sentence::from(format!(
        "{what}, keeps a margin of {} for unseen images, from {images} search images; with {} the \
         margin would be {}",
        points(held.margin),
        grouped(count_to_u64(4 * held.images)),
        points(held.margin / 2.0)
    )));
    if let Some((saved, next)) = next_smaller(result) {
        details.push(Sentence::from(format!(
            "the nearest smaller plan that was measured takes {saved:.1} % less and comes to {}, margin \
             included",
            percent(next)
        )));
    }
    Some(remark("Why the loss stays below the bound:", details))
}

/// Of the plans that were measured and cost less, the one with the least loss with its margin: by how many percent
/// it costs less, and that loss.
fn next_smaller(result: &RunResult) -> Option<(f64, f64)> {
    let cost = |plan: &FrontPlan| match result.objective.as_deref() {
        Some("multiplications" | "bit-products") => Some(plan.multiplications),
        Some("flash") => plan.flash_bytes,
        Some("ram") => plan.ram_bytes,
        _ => Some(plan.memory_bits),
    };
    let own = match result.objective.as_deref() {
        Some("multiplications" | "bit-products") => result.multiplication_cost.operand,
        Some("flash") => result.flash_bytes,
        Some("ram") => result.peak_ram_bytes,
        _ => result.memory_bits.total,
    };
    let smaller = result.front.iter().filter(|plan| !plan.bound_met);
    let smaller = smaller.filter_map(|plan| Some((cost(plan).filter(|cost| *cost < own)?, plan)));
    let (cost, plan) = smaller.min_by(|a, b| a.1.held_loss.total_cmp(&b.1.held_loss))?;
    let saved = 100.0 * (1.0 - u64_to_f64(cost) / u64_to_f64(own.max(1)));
    Some((saved, plan.held_loss))
}

/// What the loss comes from, and what would help.
fn explained(explanation: &Explanation, result: &RunResult) -> Vec<Statement> {
    /// Sources that are named.
    const NAMED: usize = 3;
    let mut sources: Vec<(f64, &str, &str)> = Vec::new();
    for share in &explanation.shares {
        let parts = [
            (share.weights, "weights"),
            (share.bias, "bias"),
            (share.clipping, "saturation"),
            (share.rounding, "output rounding"),
            (share.alignment, "alignment"),
        ];
        sources.extend(parts.map(|(fall, what)| (fall, share.name.as_str(), what)));
    }
    let part = |fall: f64| 100.0 * fall / explanation.divergence.max(1e-12);
    // What is shown as nothing helps nobody.
    let is_shown = |fall: f64| part(fall) >= 0.5;
    sources.retain(|source| is_shown(source.0));
    sources.sort_by(|a, b| b.0.total_cmp(&a.0));
    let part = |fall: f64| format!("{:.0} %", part(fall));
    let mut statements = Vec::new();
    if !sources.is_empty() {
        let named = sources.iter().take(NAMED).map(|(fall, name, what)| {
            Sentence::name(name).and(format!(": {what}, {}", part(*fall)))
        });
        let text = "Where the remaining error comes from (share that disappears if this alone were \
                    exact):";
        statements.push(remark(text, named.collect()));
    }
    let remedy = explanation.remedy.as_ref().filter(|remedy| is_shown(remedy.divergence));
    if let Some(remedy) = remedy {
        let [from, to] = remedy.bits;
        let more = 100.0 * u64_to_f64(remedy.memory_bits)
            / u64_to_f64(result.memory_bits.uniform8_total.max(1));
        let (kind, less) = (remedy.kind.name(), part(remedy.divergence));
        let detail = Sentence::name(&remedy.name).and(format!(
            ": {kind}, {from} to {to} bits: {less} less error, {more:.1} % more memory"
        ));
        statements.push(remark("The single wider tensor that would help most:", vec![detail]));
    }
    statements
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
fn budget(budget: &BudgetResult, result: &RunResult) -> Statement {
    let name = if budget.memory == "ram" { "RAM" } else { "Flash" };
    let target = result.target.as_deref().unwrap_or_default();
    let (bytes, limit) = (grouped(budget.bytes), grouped(budget.limit_bytes));
    if budget.is_met {
        let parts = match (&result.code, budget.memory.as_str()) {
            (Some(code), "flash") => format!(", {} of these for code", grouped(code.bytes)),
            _ => String::new(),
        };
        return say(Mark::Good, format!("{name} needs {bytes} of {limit} bytes{parts}."));
    }
    let short = grouped(budget.bytes - budget.limit_bytes);
    let text = format!("{name} needs {bytes} bytes, {short} more than the budget of {limit}.");
    let mut details = Vec::new();
    if let Some(least) = budget.least_bytes
        && least > budget.limit_bytes
    {
        let least = grouped(least);
        details.push(Sentence::from(format!(
            "The narrowest widths of {target} need {least} bytes: the network is too large."
        )));
        if let Some(packed) = budget.packed_bytes {
            let packed = grouped(packed);
            details.push(Sentence::from(format!(
                "With 4-bit activations in a target file (activation_bits with a 4) it needs at least \
                 {packed} bytes."
            )));
        }
    }
    let place = if budget.memory == "ram" { "at the peak" } else { "largest" };
    details.extend(budget.holders.iter().map(|holder| {
        let bytes = format!("{}, {} bytes", holder.rows_text(), grouped(holder.bytes));
        Sentence::from(format!("{place}: ")).and_name(&holder.name).and(bytes)
    }));
    details.extend(budget.steps.iter().map(|step| {
        let loss = match (step.loss, step.added_error) {
            (Some(loss), _) => format!("measured loss: {}", percent(loss)),
            (None, Some(added)) => {
                format!("alone adds {:.0} % to the error of the plan", 100.0 * added)
            }
            (None, None) if step.was_tried => "tried, loss beyond its bound".to_owned(),
            (None, None) => "its loss is not measured".to_owned(),
        };
        let (kind, bits, saved) = (&step.kind, step.next_bits, grouped(step.saved_bytes));
        let unit = if bits == 1 { "bit" } else { "bits" };
        Sentence::name(&step.name)
            .and(format!(": {kind} with {bits} {unit} would save {saved} bytes; {loss}"))
    }));
    let relative = result.accuracy.search.map(|set| set.relative_loss);
    // Only where a search goes on with a larger bound, and where it can come to the budget.
    let is_walk = WALKS.contains(&result.strategy.as_str());
    let is_near = budget.least_bytes.is_some_and(|least| least <= budget.limit_bytes);
    let is_open = result.bound_met && is_walk && is_near && !budget.steps.is_empty();
    if let (true, Some(loss), Some(least)) = (is_open, relative, budget.least_bytes) {
        let (loss, least) = (percent(loss), grouped(least));
        details.push(Sentence::from(format!(
            "The loss is {loss}; the narrowest widths need {least} bytes, and a larger --max-loss \
             allows narrower ones."
        )));
    }
    Statement { details, ..say(Mark::Bad, text) }
}

/// The number that begins `text`, to six digits.
fn tidy(text: &str) -> String {
    let (number, rest) = text.split_once(' ').unwrap_or((text, ""));
    let Ok(number) = number.parse::<f64>() else { return text.to_owned() };
    let rounded = format!("{number:.6}");
    format!("{} {rest}", rounded.trim_end_matches('0').trim_end_matches('.'))
}
