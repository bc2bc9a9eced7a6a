//! Channels of 0 bits: output channels that layers can do without are taken out of the network before its bits are
//! searched, and the layers behind make up for them.
//!
//! Of each layer its channels go one after the other, the one first whose absence the others make up for best; what so many
//! less do to the outputs is measured. A channel then goes where it takes less of the divergence than the bits that would
//! save as much. With rounding alone the divergence falls by a factor of 4 with each bit, so at the best plan the last part
//! of a bit costs `2 ln 2` times the divergence, for each bit of all tensors.

use super::options::{CostWeights, ParetoOptions};
use crate::{
    error::SearchError,
    evaluate::{Images, Predictions},
    reconstruct::{InputMoments, MadeUp, input_moments},
    score::MaxLoss,
    tuning::Tuning,
};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64, f64_to_count, u64_to_f64};
use fixedwise_graph::{
    Graph, Node, NodeId, Semantics, Thinned, cost,
    passes::{self, Tied},
};
use fixedwise_kernels::Kernels;
use rayon::prelude::*;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    f64::consts::LN_2,
    sync::{Arc, atomic::AtomicBool},
};

/// Times that fewer channels are tried together.
const ROUNDS: usize = 8;

/// Standard deviations of noise on outputs of which nothing is lost, and that are out of the question.
const NOISE: [f64; 2] = [1e-4, 1e4];
/// Times that the interval of the noise is halved.
const HALVINGS: usize = 16;

/// What thinning works with.
#[derive(Clone, Copy)]
pub struct Thinning<'a> {
    /// The network, prepared.
    pub graph: &'a Graph,
    /// Images that weights make up for channels on.
    pub calibration: &'a dyn Images,
    /// Images on which it is measured what that does, and what the network says of them.
    pub probe: &'a dyn Images,
    /// The latter.
    pub predictions: &'a Predictions,
    /// What the network says of all search images.
    pub searched: &'a Predictions,
    /// What the search is asked.
    pub options: &'a ParetoOptions,
    /// What runs the network.
    pub kernels: &'static Kernels,
    /// Ends it.
    pub stop: &'a AtomicBool,
    /// Images that were run, which are added.
    pub images: &'a Cell<u64>,
}

impl std::fmt::Debug for Thinning<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thinning").finish_non_exhaustive()
    }
}

/// Channels of one layer, or of several that are tied to each other, that may go.
struct Source {
    channels: Vec<Tied>,
    takers: Vec<Taker>,
}

/// A layer that takes them.
struct Taker {
    id: NodeId,
    /// By channels that go together, which of its inputs they are.
    inputs: Vec<Vec<usize>>,
}

/// What becomes of the network without some channels of a source.
struct Curve {
    /// Those of the source in the order in which they go.
    order: Vec<usize>,
    /// First of none.
    levels: Vec<Level>,
}

#[derive(Clone, Copy)]
struct Level {
    channels: usize,
    divergence: f64,
    /// What is saved, in the cost of a plan.
    gain: f64,
}

/// The channels that go, and the layers that make up for them; nothing where none goes. `told` is called with the layers
/// that are done, of how many.
///
/// # Errors
/// Where there is no image, or `stop` was raised.
pub fn thin(
    thinning: &Thinning,
    told: &dyn Fn(usize, usize),
) -> Result<Option<Arc<Thinned>>, SearchError> {
    let whole = passes::as_whole(thinning.graph.clone());
    let thinning = &Thinning { graph: &whole, ..*thinning };
    let &Thinning { graph, options, .. } = thinning;
    let tuning = &options.tuning;
    let Some(allowed) = thinning.allowed() else { return Ok(None) };
    let sources = sources(graph, tuning);
    let images = thinning.calibration.len().min(thinning.searched.len());
    if sources.is_empty() || images < tuning.thin_images {
        return Ok(None);
    }
    let layers: BTreeSet<NodeId> =
        sources.iter().flat_map(|source| &source.takers).map(|taker| taker.id).collect();
    let layers: Vec<NodeId> = layers.into_iter().collect();
    let Thinning { calibration, kernels, stop, .. } = *thinning;
    let moments = input_moments(graph, &layers, calibration, kernels, stop, tuning)?;
    thinning.ran(calibration.len().min(tuning.calibration_images));
    let mut curves = Vec::with_capacity(sources.len());
    for (done, source) in sources.iter().enumerate() {
        told(done, sources.len());
        curves.push(thinning.curve(source, &moments, allowed)?);
    }
    told(sources.len(), sources.len());
    // What several layers do together is not known before it is measured.
    let mut budget = allowed;
    for _ in 0..ROUNDS {
        let levels = chosen(&curves, budget, options);
        let mut dropped = BTreeMap::new();
        for ((curve, source), level) in curves.iter().zip(&sources).zip(levels) {
            dropped.extend(source.dropped(graph, &curve.order[..curve.levels[level].channels]));
        }
        if dropped.is_empty() {
            return Ok(None);
        }
        let thinned = thinning.made_up(dropped, &moments);
        if thinning.divergence(&thinned)? <= tuning.thin_most * allowed {
            return Ok(Some(Arc::new(thinned)));
        }
        budget *= tuning.thin_most;
    }
    Ok(None)
}

/// The channels that may go, with all layers that take them.
fn sources(graph: &Graph, tuning: &Tuning) -> Vec<Source> {
    let of = |channels: Vec<Tied>| {
        let takers = takers(graph, &channels);
        let fits = |taker: &Taker| {
            let own = graph.nodes[taker.id].op.parameters();
            own.is_some_and(|own| own.depth() <= tuning.thin_depth)
        };
        let is_taken = !takers.is_empty() && takers.iter().all(fits);
        is_taken.then_some(Source { channels, takers })
    };
    passes::droppable(graph).into_iter().filter_map(of).collect()
}

/// The layers whose weights take the channels of a source.
fn takers(graph: &Graph, channels: &[Tied]) -> Vec<Taker> {
    // By node, which of them each of its channels is.
    let nothing = |node: &Node| vec![None; node.shape.c];
    let mut from: Vec<Vec<Option<usize>>> = graph.nodes.iter().map(nothing).collect();
    for (place, tied) in channels.iter().enumerate() {
        tied.iter().for_each(|&(id, channel)| from[id][channel] = Some(place));
    }
    let mut takers = Vec::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        for (position, &input) in node.inputs.iter().enumerate() {
            if from[input].iter().all(Option::is_none) {
                continue;
            }
            if let Some(made_of) = passes::made_of(graph, id, position) {
                let before = from[input].clone();
                for (to, made_of) in from[id].iter_mut().zip(made_of) {
                    *to = to.or(made_of.and_then(|made_of| before[made_of]));
                }
            } else if let Some(own) = node.op.parameters() {
                let taps = own.window.kernel.iter().product::<usize>();
                let mut inputs = vec![Vec::new(); channels.len()];
                for tap in 0..taps {
                    for (at, place) in from[input].iter().enumerate() {
                        if let Some(place) = place {
                            inputs[*place].push(tap * from[input].len() + at);
                        }
                    }
                }
                takers.push(Taker { id, inputs });
            }
        }
    }
    takers
}

impl Source {
    /// By layer, its channels that go with some of those of the source.
    fn dropped(&self, graph: &Graph, places: &[usize]) -> BTreeMap<String, Vec<usize>> {
        let mut dropped: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for &(id, channel) in places.iter().flat_map(|&place| &self.channels[place]) {
            dropped.entry(graph.nodes[id].name.clone()).or_default().push(channel);
        }
        dropped.values_mut().for_each(|channels| channels.sort_unstable());
        dropped
    }
}

/// By layer, the level whose channels are worth their divergence.
fn chosen(curves: &[Curve], allowed: f64, options: &ParetoOptions) -> Vec<usize> {
    let per_bit = per_bit(options);
    let mut at = vec![0; curves.len()];
    let mut taken = 0.0;
    loop {
        let later = |i: usize| (at[i] + 1..curves[i].levels.len()).map(move |level| (i, level));
        let step = |(i, level): (usize, usize)| {
            let (now, then) = (curves[i].levels[at[i]], curves[i].levels[level]);
            let divergence = (then.divergence - now.divergence).max(f64::MIN_POSITIVE);
            (then.gain - now.gain, divergence, i, level)
        };
        let all = (0..curves.len()).flat_map(later).map(step);
        let best = all.max_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let Some((gain, divergence, i, level)) = best else { return at };
        if gain <= 0.0 || divergence * per_bit >= 2.0 * LN_2 * (allowed - taken) * gain {
            return at;
        }
        (at[i], taken) = (level, taken + divergence);
    }
}

/// What one bit of every tensor saves, in the cost of a plan at the width at which tensors are thought to end.
fn per_bit(options: &ParetoOptions) -> f64 {
    let CostWeights { memory, multiplications, flash, ram } = options.cost;
    (memory + flash + ram) / 8.0 + multiplications * 2.0 * options.tuning.thin_bits / 64.0
}

impl Thinning<'_> {
    /// The divergence that the bound is thought to allow: that of noise on the outputs of which a loss is expected that is
    /// well within it. Nothing where that is not known.
    fn allowed(&self) -> Option<f64> {
        let max_loss = self.options.max_loss;
        let bound = match max_loss {
            MaxLoss::Relative(_) | MaxLoss::Points(_) => {
                max_loss.as_relative(self.searched.correct(), self.searched.len())
            }
            MaxLoss::Sqnr(_) => return Some(max_loss.as_relative(1, 1)),
            MaxLoss::Metric { .. } => return None,
        };
        let wanted = self.options.tuning.thin_loss * bound;
        let mut noise = NOISE;
        for _ in 0..HALVINGS {
            let middle = (noise[0] * noise[1]).sqrt();
            let is_more = self.searched.moved(middle).0.expected_relative_loss() > wanted;
            noise[usize::from(is_more)] = middle;
        }
        Some(self.predictions.moved(noise[0]).1)
    }

    /// What a network without channels saves at the width at which tensors are thought to end, in the cost of a plan. Of
    /// working memory the largest value tells.
    fn gain(&self, thin: &Graph) -> f64 {
        let CostWeights { memory, multiplications, flash, ram } = self.options.cost;
        let saved = |of: &dyn Fn(&Graph) -> u64| {
            1.0 - u64_to_f64(of(thin)) / u64_to_f64(of(self.graph).max(1))
        };
        let stored = |graph: &Graph| cost::uniform8(graph, Semantics::Integer);
        let parameters = |graph: &Graph| count_to_u64(graph.parameters());
        let largest = |graph: &Graph| {
            count_to_u64(graph.nodes.iter().map(|node| node.shape.len()).max().unwrap_or(0))
        };
        let bits = self.options.tuning.thin_bits;
        let tensors = memory * saved(&stored) + flash * saved(&parameters) + ram * saved(&largest);
        tensors * bits / 8.0 + multiplications * saved(&Graph::macs) * bits * bits / 64.0
    }

    /// Takes the channels of a source out, one after the other.
    fn curve(
        &self,
        source: &Source,
        moments: &BTreeMap<NodeId, InputMoments>,
        allowed: f64,
    ) -> Result<Curve, SearchError> {
        let tuning = &self.options.tuning;
        let channels = source.channels.len();
        let mut curve = Curve {
            order: Vec::new(),
            levels: vec![Level { channels: 0, divergence: 0.0, gain: 0.0 }],
        };
        let layers = source.takers.iter().map(|taker| self.whole(taker.id, moments));
        let Some(mut layers) = layers.collect::<Option<Vec<MadeUp>>>() else { return Ok(curve) };
        let count = |part: &f64| f64_to_count((part * count_to_f64(channels)).round()).max(1);
        let counts: BTreeSet<usize> = tuning.thin_parts.iter().map(count).collect();
        let mut left: Vec<usize> = (0..channels).collect();
        for count in counts.into_iter().filter(|&count| count < channels) {
            while curve.order.len() < count {
                let error = |&channel: &usize| {
                    let takers = source.takers.iter().zip(&layers);
                    takers.map(|(taker, layer)| layer.error(&taker.inputs[channel])).sum::<f64>()
                };
                let errors: Vec<f64> = left.par_iter().map(error).collect();
                let place = (0..left.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
                let channel = left.remove(place.expect("fewer go than there are"));
                for (taker, layer) in source.takers.iter().zip(&mut layers) {
                    layer.remove(&taker.inputs[channel]);
                }
                curve.order.push(channel);
            }
            let takers = source.takers.iter().map(|taker| taker.id).zip(&layers);
            let thinned = self.numbers(source.dropped(self.graph, &curve.order), takers);
            let Ok(thin) = passes::thin(self.graph, &thinned) else { break };
            let divergence = self.of(&thin)?;
            if divergence.is_nan() || divergence > tuning.thin_most * allowed {
                break;
            }
            let before = curve.levels.last().map_or(0.0, |level| level.divergence);
            let (divergence, gain) = (divergence.max(before), self.gain(&thin));
            curve.levels.push(Level { channels: count, divergence, gain });
        }
        Ok(curve)
    }

    /// A layer with all its inputs.
    fn whole(&self, id: NodeId, moments: &BTreeMap<NodeId, InputMoments>) -> Option<MadeUp> {
        let own = self.graph.nodes[id].op.parameters()?;
        MadeUp::new(moments.get(&id)?, own.weights, own.bias, &self.options.tuning)
    }

    /// The network without channels of several layers.
    fn made_up(
        &self,
        dropped: BTreeMap<String, Vec<usize>>,
        moments: &BTreeMap<NodeId, InputMoments>,
    ) -> Thinned {
        let gone = passes::dropped(self.graph, &dropped);
        let layers = moments.keys().filter_map(|&id| {
            let own = self.graph.nodes[id].op.parameters()?;
            let before = &gone[self.graph.nodes[id].main_input()];
            let taps = own.window.kernel.iter().product::<usize>();
            let is_gone = |at: &usize| before[at % before.len()];
            let inputs: Vec<usize> = (0..taps * before.len()).filter(is_gone).collect();
            if inputs.is_empty() {
                return None;
            }
            Some((id, self.whole(id, moments)?.without(&inputs)))
        });
        let layers: Vec<(NodeId, MadeUp)> = layers.collect();
        self.numbers(dropped, layers.iter().map(|(id, layer)| (*id, layer)))
    }

    fn numbers<'l>(
        &self,
        dropped: BTreeMap<String, Vec<usize>>,
        layers: impl Iterator<Item = (NodeId, &'l MadeUp)>,
    ) -> Thinned {
        let gone = passes::dropped(self.graph, &dropped);
        let numbers = layers.map(|(id, layer)| {
            let node = &self.graph.nodes[id];
            (node.name.clone(), layer.numbers(&gone[id], &gone[node.main_input()]))
        });
        Thinned { numbers: numbers.collect(), dropped }
    }

    /// How far a network without channels is from what the whole one says.
    fn divergence(&self, thinned: &Thinned) -> Result<f64, SearchError> {
        let thin = passes::thin(self.graph, thinned);
        thin.map_or(Ok(f64::INFINITY), |thin| self.of(&thin))
    }

    fn of(&self, thin: &Graph) -> Result<f64, SearchError> {
        self.ran(self.probe.len());
        self.predictions.divergence_of(thin, self.probe, self.kernels, self.stop)
    }

    fn ran(&self, images: usize) {
        self.images.set(self.images.get() + count_to_u64(images));
    }
}
