//! Progress on standard error: a progress bar on a terminal, occasional plain lines elsewhere.

use crate::terminal;
use fixedwise::{
    Candidate, FloatResult, Now, Observer, PreprocessingResult, Progress, Step, TimeLeft, folded,
    text_width,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// Between two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Columns of a terminal from which there is room for a bar.
const WITH_BAR: usize = 100;
/// Columns of the bar with what surrounds it, and of what surrounds a text alone.
const BAR: usize = 27;
const SPINNER: usize = 2;

/// Where progress is shown.
pub(crate) enum Display {
    Nowhere,
    Plain(Mutex<Plain>),
    Bar(ProgressBar),
}

/// What plain lines have said.
#[derive(Default)]
pub(crate) struct Plain {
    last: Option<Instant>,
    headline: String,
}

impl Display {
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            Self::Nowhere
        } else if terminal::is_watched() {
            let bar = ProgressBar::new(0);
            let template = if terminal::error_columns() >= WITH_BAR {
                "{spinner} {bar:24} {wide_msg}"
            } else {
                "{spinner} {wide_msg}"
            };
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.expect("the template is well formed").progress_chars("█▌ "));
            bar.enable_steady_tick(Duration::from_millis(100));
            Self::Bar(bar)
        } else {
            Self::Plain(Mutex::default())
        }
    }

    /// Prints the first result of a run, and what looks wrong with it even where nothing else is shown.
    fn show_first(&self, preprocessing: &PreprocessingResult, float: &FloatResult) {
        self.print(|| {
            if !matches!(self, Self::Nowhere) {
                terminal::note(&fixedwise::first_result(preprocessing, float));
            }
            float.warnings.iter().for_each(|text| terminal::note(&format!("! {text}")));
        });
    }

    /// Prints what stays where a bar moves.
    fn print(&self, print: impl FnOnce()) {
        if let Self::Bar(bar) = self { bar.suspend(print) } else { print() }
    }
}

impl Observer for Display {
    fn progress(&self, progress: &Progress) {
        if let Step::MeasuredFloat { preprocessing, float } = &progress.step {
            self.show_first(preprocessing, float);
        }
        if let Step::Warned { warning } = &progress.step {
            self.print(|| terminal::note(&format!("! {warning}")));
        }
        let Some(line) = line(&progress.step) else { return };
        let columns = terminal::error_columns();
        match self {
            Self::Nowhere => {}
            Self::Bar(bar) => {
                let around = if columns >= WITH_BAR { BAR } else { SPINNER };
                bar.set_length(count(line.total));
                bar.set_position(count(line.done));
                bar.set_message(line.within(columns.saturating_sub(around)));
            }
            Self::Plain(plain) => {
                let Ok(mut plain) = plain.lock() else { return };
                let is_due = plain.last.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL);
                if is_due || plain.headline != line.headline {
                    terminal::lines(&line.plain(progress.seconds, columns));
                    plain.last = Some(Instant::now());
                    plain.headline = line.headline;
                }
            }
        }
    }
}

impl Drop for Display {
    /// Takes a moving line away.
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// What a job does, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressLine {
    /// All that is known.
    pub text: String,
    /// Parts that are done, and all of them; zero where they are not counted.
    pub done: usize,
    /// See `done`.
    pub total: usize,
}

/// What a step is in words; nothing where it only tells a result.
pub fn progress_line(step: &Step) -> Option<ProgressLine> {
    let line = line(step)?;
    Some(ProgressLine { text: line.within(usize::MAX), done: line.done, total: line.total })
}

/// How far a run is, for its page; nothing where a step only tells a result.
pub(crate) fn now(progress: &Progress) -> Option<Now> {
    let line = line(&progress.step)?;
    Some(Now {
        parts: (line.done, line.total),
        seconds: Some(progress.seconds),
        time_left: line.time_left.map(time_text).unwrap_or_default(),
        text: Line { time_left: None, ..line }.within(usize::MAX),
        ..Now::default()
    })
}

/// A step as text.
struct Line {
    /// A plain line is due whenever it changes.
    headline: String,
    /// What goes on.
    text: String,
    /// What else is known of it; the last says least.
    details: Vec<String>,
    time_left: Option<TimeLeft>,
    done: usize,
    total: usize,
}

impl Line {
    /// All that fits a line of so many columns.
    fn within(&self, columns: usize) -> String {
        let time_left = self.time_left.map(time_text);
        let of = |details: &[String]| {
            let parts = [&self.text].into_iter().chain(details).chain(&time_left);
            parts.map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        let mut n = self.details.len();
        while n > 0 && text_width(&of(&self.details[..n])) > columns {
            n -= 1;
        }
        of(&self.details[..n])
    }

    /// With the time since the start; what is said only once has as many lines as it needs.
    fn plain(&self, seconds: f64, columns: usize) -> Vec<String> {
        let since = format!("[{seconds:6.1} s] ");
        let columns = columns.max(2 * since.len());
        let text = if self.total > 0 {
            self.within(columns - since.len())
        } else {
            self.within(usize::MAX)
        };
        folded(&format!("{since}{text}"), columns, &" ".repeat(since.len()))
    }
}

fn line(step: &Step) -> Option<Line> {
    let said = |text: String, details: Vec<String>| {
        let headline = text.clone();
        Line { headline, text, details, time_left: None, done: 0, total: 0 }
    };
    let counted = |headline: &str, text: String, (done, total): (usize, usize), time_left| Line {
        headline: headline.to_owned(),
        text,
        details: Vec::new(),
        time_left,
        done,
        total,
    };
    Some(match step {
        Step::Loading => said("reading model and data".to_owned(), Vec::new()),
        Step::Calibrating { done, total } => {
            let text = format!("calibrating: {done} of {total} images");
            counted("calibrating", text, (*done, *total), None)
        }
        Step::MeasuringFloat { images } => {
            said(format!("measuring the float network on {images} images"), Vec::new())
        }
        Step::Searching(candidate) => searching(candidate),
        Step::Rounding { done, total } => {
            let text = format!("rounding the weights: layer {done} of {total}");
            counted("rounding", text, (*done, *total), None)
        }
        Step::Thinning { done, total } => {
            let text = format!("looking for channels to drop: layer {done} of {total}");
            counted("thinning", text, (*done, *total), None)
        }
        Step::Balancing { done, total } => {
            let text = format!("equalizing channels: step {done} of {total}");
            counted("balancing", text, (*done, *total), None)
        }
        Step::Probing { done, total, time_left } => {
            let text = "measuring the sensitivity to each bit width".to_owned();
            counted("probing", text, (*done, *total), *time_left)
        }
        Step::Explaining { done, total, time_left } => {
            let text = "finding the sources of the error".to_owned();
            counted("explaining", text, (*done, *total), *time_left)
        }
        Step::Tuning { steps, memory: [before, now], time_left } => {
            let text = format!("tuning: {:.1} % of 8-bit memory", now * 100.0);
            let gained = format!("{:.1} points less so far", (before - now) * 100.0);
            let mut line = counted("tuning", text, (0, 1), *time_left);
            line.details = vec![gained, format!("step {steps}")];
            line
        }
        Step::NotTuned { problem } => said(problem.clone(), Vec::new()),
        Step::Expecting { memory, multiplications } => said(
            format!("estimate: {:.0} % less memory", memory * 100.0),
            vec![format!(
                "{:.0} % fewer bit products than uniform 8 bit; checking",
                multiplications * 100.0
            )],
        ),
        Step::OutOfReach { memory, limit_bytes, least_bytes } => said(
            format!(
                "--max-{memory} cannot be met: {} alone take at least {least_bytes} bytes, the limit is \
                 {limit_bytes}",
                if *memory == "flash" { "weights" } else { "values and kernels at the peak" }
            ),
            vec!["searching for the nearest plan".to_owned()],
        ),
        Step::Testing { images } => said(format!("measuring on {images} test images"), Vec::new()),
        _ => return None,
    })
}

fn time_text(left: TimeLeft) -> String {
    let most = if left.is_at_most { "at most" } else { "about" };
    format!("{most} {} left", duration(left.seconds))
}

fn searching(candidate: &Candidate) -> Line {
    let mut text = if candidate.name.is_empty() {
        "whole plan".to_owned()
    } else {
        format!("{} {}", candidate.short_name, candidate.kind)
    };
    if let Some((bits, frac)) = candidate.format {
        text.push_str(&format!(" BW={bits} F={frac}"));
    }
    let mut details = Vec::new();
    match (candidate.loss, candidate.budget) {
        (Some(loss), Some(budget)) => {
            details.push(format!("loss {:.2} % of {:.2} % allowed", loss * 100.0, budget * 100.0));
        }
        (Some(loss), None) => details.push(format!("loss {:.2} %", loss * 100.0)),
        // A whole plan may be clear from the first images, those that the float network gets wrong.
        (None, _) if candidate.name.is_empty() => {}
        (None, _) => details.push("loss beyond the bound".to_owned()),
    }
    if candidate.uniform8_bits > 0 {
        let part = percent(candidate.memory_bits, candidate.uniform8_bits);
        details.push(format!("{part} % of 8-bit memory"));
    }
    let (done, total) = candidate.tensors;
    if total > 0 {
        details.push(format!("tensor {} of {total}", total.min(done + 1)));
    }
    Line {
        headline: format!("searching {}", candidate.kind),
        text,
        details,
        time_left: candidate.time_left,
        done: candidate.evaluations.0,
        total: candidate.evaluations.1,
    }
}

/// `part` in percent of `whole`, rounded down.
fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

fn duration(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate() -> Candidate {
        Candidate {
            name: "model/conv2d_7/Conv2D".to_owned(),
            short_name: "conv2d_7".to_owned(),
            kind: "weights",
            format: Some((4, 6)),
            loss: Some(0.0042),
            budget: Some(0.005),
            memory_bits: 600,
            uniform8_bits: 1000,
            tensors: (6, 30),
            evaluations: (80, 420),
            time_left: Some(TimeLeft { seconds: 151.0, is_at_most: false }),
            ..Candidate::default()
        }
    }

    #[test]
    fn what_says_least_is_left_out_first() {
        let line = searching(&candidate());
        assert_eq!(
            line.within(120),
            "conv2d_7 weights BW=4 F=6, loss 0.42 % of 0.50 % allowed, 60 % of 8-bit memory, tensor 7 \
             of 30, about 3 min left"
        );
        assert_eq!(
            line.within(80),
            "conv2d_7 weights BW=4 F=6, loss 0.42 % of 0.50 % allowed, about 3 min left"
        );
        assert_eq!(line.within(50), "conv2d_7 weights BW=4 F=6, about 3 min left");
    }

    #[test]
    fn plain_lines_fit_a_terminal() {
        let short_name = "n".repeat(24);
        let longest = Candidate {
            short_name,
            kind: "activations",
            format: Some((12, -120)),
            loss: Some(-1.0),
            budget: Some(1.0),
            ..candidate()
        };
        let out_of_reach =
            Step::OutOfReach { memory: "flash", limit_bytes: 1 << 40, least_bytes: 1 << 41 };
        let expecting = Step::Expecting { memory: 0.5, multiplications: 0.5 };
        for step in [Step::Searching(longest), out_of_reach, expecting, Step::Loading] {
            let lines = line(&step).unwrap().plain(12_345.6, 80);
            assert!(lines.iter().all(|line| text_width(line) <= 80), "{lines:#?}");
        }
        let lines = line(&Step::Loading).unwrap().plain(1.0, 80);
        assert_eq!(lines, ["[   1.0 s] reading model and data"]);
    }

    #[test]
    fn a_plan_that_was_clear_early_has_no_loss_to_tell() {
        let candidate = Candidate {
            memory_bits: 730,
            uniform8_bits: 1000,
            evaluations: (2, 30),
            time_left: Some(TimeLeft { seconds: 24.0, is_at_most: true }),
            ..Candidate::default()
        };
        assert_eq!(
            searching(&candidate).within(80),
            "whole plan, 73 % of 8-bit memory, at most 24 s left"
        );
        let name = "conv2d_1".to_owned();
        let candidate = Candidate { short_name: name.clone(), name, kind: "weights", ..candidate };
        let text = searching(&candidate).within(80);
        assert!(text.starts_with("conv2d_1 weights, loss beyond the bound, 73 %"), "{text}");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(duration(12.3), "12 s");
        assert_eq!(duration(121.0), "3 min");
        assert_eq!(duration(-1.0), "0 s");
        assert_eq!(duration(5400.0), "1 h 30 min");
    }
}
