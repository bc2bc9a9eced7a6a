//! Progress on standard error: a progress bar on a terminal, occasional plain lines elsewhere.

use crate::terminal;
use fixedwise::{Candidate, Progress, Step};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// Between two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

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
            let style = ProgressStyle::with_template("{spinner} {bar:24} {wide_msg}");
            bar.set_style(style.expect("the template is well formed").progress_chars("█▌ "));
            bar.enable_steady_tick(Duration::from_millis(100));
            Self::Bar(bar)
        } else {
            Self::Plain(Mutex::default())
        }
    }

    pub(crate) fn show(&self, progress: &Progress) {
        let Some(Line { headline, text, done, total }) = line(&progress.step) else { return };
        match self {
            Self::Nowhere => {}
            Self::Bar(bar) => {
                bar.set_length(count(total));
                bar.set_position(count(done));
                bar.set_message(text);
            }
            Self::Plain(plain) => {
                let Ok(mut plain) = plain.lock() else { return };
                let is_due = plain.last.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL);
                if is_due || plain.headline != headline {
                    terminal::note(&format!("[{:6.1} s] {text}", progress.seconds));
                    plain.last = Some(Instant::now());
                    headline.clone_into(&mut plain.headline);
                }
            }
        }
    }

    /// Takes a moving line away.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A step as text.
struct Line {
    /// A plain line is due whenever it changes.
    headline: String,
    text: String,
    done: usize,
    total: usize,
}

fn line(step: &Step) -> Option<Line> {
    let simple = |text: String| Line { headline: text.clone(), text, done: 0, total: 0 };
    Some(match step {
        Step::Loading => simple("reading model and data".to_owned()),
        Step::Calibrating { done, total } => Line {
            headline: "calibrating".to_owned(),
            text: format!("calibrating: {done} of {total} images"),
            done: *done,
            total: *total,
        },
        Step::MeasuringFloat { images } => {
            simple(format!("measuring the float network on {images} images"))
        }
        Step::Searching(candidate) => Line {
            headline: format!("searching {}", candidate.kind),
            text: searching(candidate),
            done: candidate.evaluations.0,
            total: candidate.evaluations.1,
        },
        Step::Balancing { done, total, seconds_left } => {
            let text = with_time_left("equalizing channels", *seconds_left);
            Line { headline: "balancing".to_owned(), text, done: *done, total: *total }
        }
        Step::Probing { done, total, seconds_left } => {
            let text = with_time_left("measuring the sensitivity to each bit width", *seconds_left);
            Line { headline: "probing".to_owned(), text, done: *done, total: *total }
        }
        Step::Expecting { memory, multiplications } => simple(format!(
            "estimate: {:.0} % less memory, {:.0} % fewer multiplications than uniform 8 bit; checking",
            memory * 100.0,
            multiplications * 100.0
        )),
        Step::OutOfReach { memory, limit_bytes, least_bytes } => simple(format!(
            "--max-{memory} cannot be met: the minimum is {least_bytes} bytes, the limit {limit_bytes}; \
             searching for the nearest plan"
        )),
        Step::Testing { images } => simple(format!("measuring on {images} test images")),
        _ => return None,
    })
}

fn with_time_left(text: &str, seconds: Option<f64>) -> String {
    let left = seconds.map(|seconds| format!(", {} left", duration(seconds)));
    format!("{text}{}", left.unwrap_or_default())
}

fn searching(candidate: &Candidate) -> String {
    let mut text = if candidate.name.is_empty() {
        "whole plan".to_owned()
    } else {
        format!("{} {}", candidate.short_name, candidate.kind)
    };
    if let Some((bits, frac)) = candidate.format {
        text.push_str(&format!(" BW={bits} F={frac}"));
    }
    match (candidate.loss, candidate.budget) {
        (Some(loss), Some(budget)) => {
            text.push_str(&format!(
                ": loss {:.2} % of {:.2} % allowed",
                loss * 100.0,
                budget * 100.0
            ));
        }
        (Some(loss), None) => text.push_str(&format!(": loss {:.2} %", loss * 100.0)),
        // A whole plan may be clear from the first images, those that the float network gets wrong.
        (None, _) if candidate.name.is_empty() => {}
        (None, _) => text.push_str(": loss beyond the bound"),
    }
    if candidate.uniform8_bits > 0 {
        let part = percent(candidate.memory_bits, candidate.uniform8_bits);
        text.push_str(&format!(", {part} % of the memory of uniform 8 bit"));
    }
    let (done, total) = candidate.tensors;
    if total > 0 {
        text.push_str(&format!(", tensor {} of {total}", total.min(done + 1)));
    }
    if let Some(seconds) = candidate.seconds_left {
        text.push_str(&format!(", {} left", duration(seconds)));
    }
    text
}

/// `part` in percent of `whole`, rounded down.
fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

fn duration(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_fits_one_line() {
        let candidate = Candidate {
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
            seconds_left: Some(151.0),
        };
        assert_eq!(
            searching(&candidate),
            "conv2d_7 weights BW=4 F=6: loss 0.42 % of 0.50 % allowed, 60 % of the memory of uniform 8 bit, \
             tensor 7 of 30, 3 min left"
        );
    }

    #[test]
    fn a_plan_that_was_clear_early_has_no_loss_to_tell() {
        let candidate = Candidate {
            memory_bits: 730,
            uniform8_bits: 1000,
            evaluations: (2, 30),
            seconds_left: Some(24.0),
            ..Candidate::default()
        };
        assert_eq!(
            searching(&candidate),
            "whole plan, 73 % of the memory of uniform 8 bit, 24 s left"
        );
        let name = "conv2d_1".to_owned();
        let candidate = Candidate { short_name: name.clone(), name, kind: "weights", ..candidate };
        assert!(searching(&candidate).starts_with("conv2d_1 weights: loss beyond the bound, 73 %"));
    }

    #[test]
    fn times_are_short() {
        assert_eq!(duration(12.3), "12 s");
        assert_eq!(duration(-1.0), "0 s");
        assert_eq!(duration(5400.0), "1 h 30 min");
    }
}
