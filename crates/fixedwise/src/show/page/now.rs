//! How far a run is that goes on.

use crate::watch::Running;
use fixedwise_fixed::convert::{count_to_f64, u64_to_f64};
use serde::Serialize;

/// What a run does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    /// What it does, in words.
    pub text: String,
    /// Parts that are done, and all of them; zero where they are not counted.
    pub parts: (usize, usize),
    /// Since the start; absent where nobody knows that.
    pub seconds: Option<f64>,
    /// Until the end, in words; empty where nobody knows that.
    pub time_left: String,
    /// Whether the page may end the search.
    pub may_stop: bool,
    /// Whether the search was asked to end.
    pub is_stopping: bool,
}

/// The same as it stands on the page.
#[derive(Serialize)]
pub(super) struct Told {
    text: String,
    time: String,
    /// In percent, where it is counted.
    done: Option<f64>,
    best: String,
    may_stop: bool,
    is_stopping: bool,
}

pub(super) fn told(running: &Running, now: &Now) -> Told {
    let since = now.seconds.map(|seconds| format!("{seconds:.0} s so far"));
    let left = Some(now.time_left.clone()).filter(|left| !left.is_empty());
    let (done, total) = now.parts;
    Told {
        text: now.text.clone(),
        time: since.into_iter().chain(left).collect::<Vec<_>>().join(", "),
        done: (total > 0).then(|| (100.0 * count_to_f64(done) / count_to_f64(total)).min(100.0)),
        best: best(running),
        may_stop: now.may_stop,
        is_stopping: now.is_stopping,
    }
}

/// The best plan so far in words.
fn best(running: &Running) -> String {
    let Some(best) = running.best() else { return "No plan was measured yet.".to_owned() };
    let result = &running.result;
    let saved = |bits: u64, whole: u64| {
        format!("{:.1} %", 100.0 * (1.0 - u64_to_f64(bits) / u64_to_f64(whole.max(1))))
    };
    let memory = saved(best.memory_bits, result.memory_bits.uniform8_total);
    let products = saved(best.multiplications, result.multiplication_cost.operand_uniform8);
    let held_as = result.held_as().map_or_else(String::new, |held_as| format!(" {held_as}"));
    let bound = if best.bound_met { "within the bound" } else { "beyond the bound" };
    format!(
        "The best of {} plans so far saves {memory} of memory and {products} of bit products against uniform 8 bit; its \
         loss{held_as} is {:.2} %, {bound}.",
        result.front.len(),
        100.0 * best.held_loss,
    )
}
