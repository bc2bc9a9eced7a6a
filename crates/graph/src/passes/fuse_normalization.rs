//! Operators that together divide a value by the deviation of its channels, or of other axes, become a layer
//! normalization, with scales and shifts behind it: exporters write it in many ways.
//!
//! What operators compute is told by running them. All that they are given is one value, so what they make of
//! random ones of several magnitudes gives the scale, the shift and what is added to the variance, and whether that
//! explains all of it.

use super::{only_consumer, remove_dead, replace_uses};
use crate::{
    graph::{Graph, NodeId},
    import::view::Run,
    operator::{FloatStep, Op},
    ops::{Affine, AveragePool, GlobalAveragePool, LayerNormalization, Reshape, WithConstant},
    shape::{Activation, Shape},
};
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};
use fixedwise_kernels::{Kernels, Scratch};

/// Most operators that a normalization is written with.
const MOST: usize = 32;
/// Images that are looked at, of each magnitude, and of large values.
const IMAGES: [usize; 2] = [8, 2];
/// Elements of a large value.
const LARGE: usize = 1024;
/// How far results may be off, as a part of the largest: sums are of 32-bit floats.
const TOLERANCE: f64 = 1e-3;
/// How far a scale may be from one, or a shift from zero, to be just that.
const EXACT: f64 = 1e-5;

pub(super) fn run(graph: &mut Graph) {
    if !graph.nodes.iter().any(|node| is_mean(&node.op)) {
        return;
    }
    let mut has_dead = false;
    for end in 0..graph.nodes.len() {
        let stands = |from: NodeId, nodes: &[NodeId]| {
            explained(graph, from, nodes).filter(|steps| steps.len() <= nodes.len())
        };
        let found = regions(graph, end)
            .into_iter()
            .find_map(|(from, nodes)| Some((stands(from, &nodes)?, from, nodes)));
        let Some((mut steps, from, mut nodes)) = found else { continue };
        // Scales and shifts behind, of whatever axes.
        let mut end = end;
        while let Some(user) = only_consumer(graph, end)
            && (graph.nodes[user].op.is::<Affine>() || graph.nodes[user].op.is::<WithConstant>())
            && graph.nodes[user].activation == Activation::None
            && let more = [&nodes[..], &[user]].concat()
            && let Some(found) = stands(from, &more)
        {
            (end, nodes, steps) = (user, more, found);
        }
        let (dead, own) = nodes.split_at(nodes.len() - steps.len());
        for &id in nodes.iter().filter(|&&id| id != end) {
            replace_uses(graph, id, from);
        }
        // They must not count as users.
        dead.iter().for_each(|&id| graph.nodes[id].inputs = vec![0]);
        has_dead = true;
        let name = graph.nodes[end].name.clone();
        let mut before = from;
        for (&id, (part, op, shape)) in own.iter().zip(steps) {
            let node = &mut graph.nodes[id];
            (node.op, node.inputs, node.shape) = (op, vec![before], shape);
            node.activation = Activation::None;
            if id != end {
                node.name = format!("{name}_{part}");
            }
            before = id;
        }
    }
    if has_dead {
        remove_dead::run(graph);
    }
}

fn is_mean(op: &Op) -> bool {
    op.is::<AveragePool>() || op.is::<GlobalAveragePool>()
}

/// Values of the extents of the end from which alone it is computed by a few operators without parameters, whose own
/// values nothing else takes, and these operators: the most first.
fn regions(graph: &Graph, end: NodeId) -> Vec<(NodeId, Vec<NodeId>)> {
    let node = &graph.nodes[end];
    if node.inputs.len() != 2 || node.activation != Activation::None {
        return Vec::new();
    }
    let consumers = graph.consumers();
    let is_allowed = |id: NodeId| {
        graph.nodes[id].op.parameters().is_none() && !graph.nodes[id].inputs.is_empty()
    };
    // What the end is computed from, as far as such operators reach.
    let mut before = vec![end];
    let mut next = 0;
    while next < before.len() && before.len() <= 2 * MOST {
        if is_allowed(before[next]) {
            for &input in &graph.nodes[before[next]].inputs {
                if !before.contains(&input) {
                    before.push(input);
                }
            }
        }
        next += 1;
    }
    let mut froms: Vec<NodeId> = before.into_iter().filter(|&id| id != end).collect();
    froms.retain(|&id| graph.nodes[id].shape == node.shape);
    froms.sort_unstable();
    let region = |from: NodeId| {
        let mut nodes = vec![end];
        let mut next = 0;
        while next < nodes.len() {
            let id = nodes[next];
            if id < from || !is_allowed(id) || nodes.len() > MOST {
                return None;
            }
            for &input in &graph.nodes[id].inputs {
                if input != from && !nodes.contains(&input) {
                    nodes.push(input);
                }
            }
            next += 1;
        }
        nodes.sort_unstable();
        let is_inner = |&id: &NodeId| {
            !graph.is_output(id) && consumers[id].iter().all(|user| nodes.contains(user))
        };
        let is_whole = nodes[..nodes.len() - 1].iter().all(is_inner);
        let has_mean = nodes.iter().any(|&id| is_mean(&graph.nodes[id].op));
        (is_whole && has_mean && nodes.len() > 2).then_some((from, nodes))
    };
    froms.into_iter().filter_map(region).collect()
}

/// Operators that stand for those of a region: what each is called behind the name of the end, and its extents.
type Steps = Vec<(&'static str, Op, Shape)>;

/// A value whose normalized axes are channels.
struct Layout {
    from: Shape,
    /// Extents where the normalized axes are the channels, and the others columns.
    moved: Shape,
    /// Where the elements of that are.
    order: Vec<usize>,
    /// To that and back; nothing where the channels alone are normalized.
    moves: Option<[Reshape; 2]>,
}

impl Layout {
    /// Axes that are normalized together: channels, columns, and so on.
    const AXES: [[bool; 3]; 5] = [
        [false, false, true],
        [false, true, false],
        [false, true, true],
        [true, true, false],
        [true, true, true],
    ];

    fn all(from: Shape) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for axes in Self::AXES {
            let layout = Self::new(from, axes);
            if layout.moved.c > 1 && all.iter().all(|other| other.order != layout.order) {
                all.push(layout);
            }
        }
        all
    }

    fn new(from: Shape, is_normalized: [bool; 3]) -> Self {
        let extents = from.dims();
        let strides = [from.w * from.c, from.c, 1];
        let axes = |normalized: bool| -> Vec<usize> {
            (0..3).filter(|&axis| is_normalized[axis] == normalized).collect()
        };
        let (columns, channels) = (axes(false), axes(true));
        let runs = |axes: &[usize]| -> Vec<Run> {
            let run = |&axis: &usize| Run { extent: extents[axis], stride: strides[axis] };
            axes.iter().map(run).collect()
        };
        let extent = |axes: &[usize]| axes.iter().map(|&axis| extents[axis]).product();
        let moved = Shape::new(1, extent(&columns), extent(&channels));
        let there = Reshape { shape: moved, from: [Vec::new(), runs(&columns), runs(&channels)] };
        // Where the elements along an axis lie among the moved ones.
        let back = |axis: usize| {
            let (own, one) = if is_normalized[axis] { (&channels, 1) } else { (&columns, moved.c) };
            let inner: usize =
                own.iter().filter(|&&other| other > axis).map(|&other| extents[other]).product();
            vec![Run { extent: extents[axis], stride: inner * one }]
        };
        let back = Reshape { shape: from, from: [back(0), back(1), back(2)] };
        let at = |runs: &[Run], mut index: usize| {
            runs.iter().rev().fold(0, |sum, run| {
                let part = index % run.extent;
                index /= run.extent;
                sum + part * run.stride
            })
        };
        let place = |k: usize| at(&there.from[1], k / moved.c) + at(&there.from[2], k % moved.c);
        let order: Vec<usize> = (0..from.len()).map(place).collect();
        let is_as_it_is =
            order.iter().enumerate().all(|(k, &place)| k == place) && moved.c == from.c;
        Self { from, moved, order, moves: (!is_as_it_is).then_some([there, back]) }
    }

    /// Of which scale and shift each element is, in moved order: those of its place among the normalized ones, or of its
    /// channel in the original value.
    fn keys(&self, is_of_channels: bool) -> Vec<usize> {
        let key = |(k, place): (usize, &usize)| {
            if is_of_channels { place % self.from.c } else { k % self.moved.c }
        };
        self.order.iter().enumerate().map(key).collect()
    }
}

/// Images of a value and what operators make of them.
struct Samples {
    n: usize,
    x: Vec<f64>,
    y: Vec<f64>,
}

/// One group of elements that are normalized together: what of the inputs is normalized, the variance of that, the
/// results, and the scale and shift that each is of.
struct Group<'k> {
    differences: Vec<f64>,
    variance: f64,
    y: Vec<f64>,
    keys: &'k [usize],
}

impl Samples {
    /// Of `n` random values between `-magnitude` and `magnitude`, and more by an offset.
    fn new(n: usize, run: &impl Fn(&[f32]) -> Vec<f32>, magnitude: f64, offset: f64) -> Self {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        let mut state = 1_u64;
        let mut random = || {
            // The generator of Knuth's MMIX.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let part = u32::try_from(state >> 33).map_or(0.0, f64::from) / f64::from(1_u32 << 30);
            f64_to_f32(magnitude.mul_add(part - 1.0, offset))
        };
        for _ in 0..IMAGES[usize::from(n > LARGE)] {
            let image: Vec<f32> = (0..n).map(|_| random()).collect();
            y.extend(run(&image).into_iter().map(f64::from));
            x.extend(image.into_iter().map(f64::from));
        }
        Self { n, x, y }
    }

    fn groups<'k>(
        &self,
        layout: &'k Layout,
        keys: &'k [usize],
        is_centered: bool,
    ) -> impl Iterator<Item = Group<'k>> {
        let images = self.x.chunks_exact(self.n).zip(self.y.chunks_exact(self.n));
        images.flat_map(move |(x, y)| {
            let groups =
                layout.order.chunks_exact(layout.moved.c).zip(keys.chunks_exact(layout.moved.c));
            groups.map(move |(places, keys)| {
                let x: Vec<f64> = places.iter().map(|&place| x[place]).collect();
                let count = count_to_f64(x.len());
                let mean = if is_centered { x.iter().sum::<f64>() / count } else { 0.0 };
                let differences: Vec<f64> = x.iter().map(|x| x - mean).collect();
                let variance = differences.iter().map(|d| d * d).sum::<f64>() / count;
                let y = places.iter().map(|&place| y[place]).collect();
                Group { differences, variance, y, keys }
            })
        })
    }
}

/// What nodes make of an image of one value.
fn runner<'g>(
    graph: &'g Graph,
    from: NodeId,
    nodes: &'g [NodeId],
) -> impl Fn(&[f32]) -> Vec<f32> + 'g {
    // The same on every machine.
    let step =
        |&id: &NodeId| graph.nodes[id].op.prepare_float(&graph.context(id), Kernels::scalar());
    let steps: Vec<FloatStep> = nodes.iter().map(step).collect();
    move |image| {
        let mut values: Vec<Vec<f32>> = vec![image.to_vec()];
        for (&id, step) in nodes.iter().zip(&steps) {
            let node = &graph.nodes[id];
            let of = |&input: &NodeId| match nodes.binary_search(&input) {
                Ok(place) if input != from => values[place + 1].as_slice(),
                _ => values[0].as_slice(),
            };
            let inputs: Vec<&[f32]> = node.inputs.iter().map(of).collect();
            let mut y = vec![0.0; node.shape.len()];
            step(&inputs, &mut y, &mut Scratch::default());
            values.push(y);
        }
        values.pop().unwrap_or_default()
    }
}

/// The normalization that nodes compute, where they compute one.
fn explained(graph: &Graph, from: NodeId, nodes: &[NodeId]) -> Option<Steps> {
    let (shape, run) = (graph.nodes[from].shape, runner(graph, from, nodes));
    let samples = |magnitude, offset| Samples::new(shape.len(), &run, magnitude, offset);
    let all =
        [samples(16.0, 0.0), samples(1.0 / 256.0, 0.0), samples(0.05, 0.0), samples(1.0, 3.0)];
    if all.iter().flat_map(|samples| &samples.y).any(|y| !y.is_finite()) {
        return None;
    }
    let layouts = Layout::all(shape);
    layouts.iter().find_map(|layout| {
        [false, true].into_iter().find_map(|is_of_channels| {
            let keys = layout.keys(is_of_channels);
            [true, false].into_iter().find_map(|is_centered| {
                let (epsilon, behind) = fitted(layout, &keys, is_centered, &all)?;
                let own = LayerNormalization { epsilon, is_centered };
                Some(steps(layout, own, behind, is_of_channels))
            })
        })
    })
}

/// The operators that stand for a region.
fn steps(
    layout: &Layout,
    own: LayerNormalization,
    behind: Option<Affine>,
    is_of_channels: bool,
) -> Steps {
    let (moved, from) = (layout.moved, layout.from);
    let [there, back] = layout.moves.clone().map_or([None, None], |moves| moves.map(Some));
    let mut steps: Steps = Vec::new();
    steps.extend(there.map(|op| ("moved", op.into(), moved)));
    steps.push(("normalized", own.into(), moved));
    let (inner, outer) = if is_of_channels { (None, behind) } else { (behind, None) };
    steps.extend(inner.map(|op| ("scaled", op.into(), moved)));
    steps.extend(back.map(|op| ("back", op.into(), from)));
    steps.extend(outer.map(|op| ("scaled", op.into(), from)));
    steps
}

/// What is added to the variance, and the scales and shifts behind, where these explain all samples; of large values
/// first, then of small ones.
fn fitted(
    layout: &Layout,
    keys: &[usize],
    is_centered: bool,
    all: &[Samples; 4],
) -> Option<(f64, Option<Affine>)> {
    let groups =
        |samples: &Samples| -> Vec<Group> { samples.groups(layout, keys, is_centered).collect() };
    let all = all.each_ref().map(groups);
    let [large, small, ..] = &all;
    let epsilon = epsilon(small, &behind(large, 0.0))?;
    let behind = behind(large, epsilon);
    let is_explained = |groups: &Vec<Group>| {
        // Against the largest result of values of this magnitude.
        let results = groups.iter().flat_map(|group| &group.y);
        let largest = results.fold(0.0_f64, |most, y| most.max(y.abs()));
        let is_near = |group: &Group| {
            let root = (group.variance + epsilon).sqrt();
            let mut all = group.differences.iter().zip(&group.y).zip(group.keys);
            all.all(|((d, y), &key)| {
                let told = behind.scale[key].mul_add(d / root, behind.shift[key]);
                (told - y).abs() <= TOLERANCE * largest
            })
        };
        largest > 0.0 && groups.iter().all(is_near)
    };
    let is_nothing = behind.scale.iter().all(|scale| (scale - 1.0).abs() < EXACT)
        && behind.shift.iter().all(|shift| shift.abs() < EXACT);
    all.iter().all(is_explained).then_some((epsilon, (!is_nothing).then_some(behind)))
}

/// The scales and shifts, by least squares.
fn behind(groups: &[Group], epsilon: f64) -> Affine {
    let count = groups.iter().flat_map(|group| group.keys).max().map_or(0, |most| most + 1);
    let mut sums = vec![[0.0; 5]; count];
    for group in groups {
        let root = (group.variance + epsilon).sqrt();
        for ((d, y), &key) in group.differences.iter().zip(&group.y).zip(group.keys) {
            let n = d / root;
            for (sum, own) in sums[key].iter_mut().zip([1.0, n, *y, n * n, n * y]) {
                *sum += own;
            }
        }
    }
    let line = |[count, n, y, nn, ny]: [f64; 5]| {
        let scale = count.mul_add(ny, -n * y) / count.mul_add(nn, -n * n);
        (scale, scale.mul_add(-n, y) / count)
    };
    let (scale, shift) = sums.into_iter().map(line).unzip();
    Affine { scale, shift }
}

/// What is added to the variance, by values that are small against it.
fn epsilon(groups: &[Group], behind: &Affine) -> Option<f64> {
    let of_group = |group: &Group| {
        let (mut both, mut square) = (0.0, 0.0);
        for ((d, y), &key) in group.differences.iter().zip(&group.y).zip(group.keys) {
            let own = d * behind.scale[key];
            both += own * (y - behind.shift[key]);
            square += own * own;
        }
        let root = square / both;
        root.mul_add(root, -group.variance)
    };
    let epsilon = groups.iter().map(of_group).sum::<f64>() / count_to_f64(groups.len().max(1));
    epsilon.is_finite().then_some(epsilon.max(0.0))
}
