//! Some elements of a value, in any order and any number: slices, repetitions, permutations, zeros around.

mod fixed;

pub use fixed::FixedIndexMap;

use super::max_pool::kept;
use crate::{
    backward::{Backward, BackwardStep, each_image},
    error::LowerError,
    fixed_operator::FixedOp,
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_kernels::Kernels;
use std::{collections::BTreeSet, ops::Range};

/// `y[i, j, k] = x[rows[i] + columns[j] + channels[k]]`, or 0 where one of them is `None`.
///
/// Fixed point: moves integers; the format stays.
///
/// Source: ONNX `Slice`, `Split`, `Gather`, `Tile`, `Expand`, `DepthToSpace`, `SpaceToDepth`, opset 13; `Pad`,
/// opset 21; `Resize` in mode `nearest`, opset 19.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexMap {
    /// By row of the result: where its elements lie among those of the input.
    pub rows: Vec<Option<usize>>,
    /// By column: how far from there.
    pub columns: Vec<Option<usize>>,
    /// By channel: how far from there.
    pub channels: Vec<Option<usize>>,
}

impl IndexMap {
    /// Extents of the result.
    pub fn shape(&self) -> Shape {
        Shape::new(self.rows.len(), self.columns.len(), self.channels.len())
    }

    /// For each element of the result, in order, the element of the input that it is; `None` for a zero.
    pub fn sources(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        let pixels = self
            .rows
            .iter()
            .flat_map(|&row| self.columns.iter().map(move |&column| Some(row? + column?)));
        pixels.flat_map(|pixel| self.channels.iter().map(move |&channel| Some(pixel? + channel?)))
    }

    /// Whether some element is a zero that is put in.
    pub fn has_zeros(&self) -> bool {
        [&self.rows, &self.columns, &self.channels].into_iter().flatten().any(Option::is_none)
    }

    /// Whether it takes each element of a value of that shape once, and nothing else.
    pub fn is_permutation(&self, input: Shape) -> bool {
        let mut is_taken = vec![false; input.len()];
        self.shape().len() == input.len()
            && self.sources().all(|source| {
                source.is_some_and(|source| !std::mem::replace(&mut is_taken[source], true))
            })
    }

    /// By output channel, the channel of the input it comes from, or none where it is all zeros.
    ///
    /// Gives nothing where a channel has elements of several ones.
    pub fn channel_sources(&self, input: Shape) -> Option<Vec<Option<usize>>> {
        let mut sources = vec![None; self.channels.len()];
        for (source, channel) in self.channel_pairs(input) {
            if *sources[channel].get_or_insert(source) != source {
                return None;
            }
        }
        Some(sources)
    }

    /// Pairs of a channel of the input and one of the result that has elements of it.
    pub(crate) fn channel_pairs(&self, input: Shape) -> Vec<(usize, usize)> {
        let rests = |places: &[Option<usize>]| {
            let rests: BTreeSet<usize> = places.iter().flatten().map(|p| p % input.c).collect();
            rests
        };
        let (rows, columns) = (rests(&self.rows), rests(&self.columns));
        let pixels: BTreeSet<usize> =
            rows.iter().flat_map(|i| columns.iter().map(move |j| (i + j) % input.c)).collect();
        let pairs = |(to, from): (usize, &Option<usize>)| {
            let from = *from;
            pixels.iter().filter_map(move |pixel| Some(((pixel + from?) % input.c, to)))
        };
        self.channels.iter().enumerate().flat_map(pairs).collect()
    }

    /// The rows of the input from the first to the last that these rows of the result are taken from, as
    /// elements.
    fn elements(&self, rows: Range<usize>) -> Range<usize> {
        let ends = |places: &[Option<usize>]| {
            let known = places.iter().flatten();
            known.clone().min().copied().zip(known.max().copied())
        };
        let all = [&self.rows[rows], &self.columns, &self.channels].map(ends);
        let [Some(rows), Some(columns), Some(channels)] = all else { return 0..0 };
        rows.0 + columns.0 + channels.0..rows.1 + columns.1 + channels.1 + 1
    }

    /// This map of what another one gives, as one of the other's input, where each axis of the result runs along
    /// the same axis in between.
    #[must_use]
    pub fn after(&self, first: &Self) -> Option<Self> {
        let between = first.shape();
        let steps = [between.w * between.c, between.c, 1];
        let own = [&self.rows, &self.columns, &self.channels];
        let others = [&first.rows, &first.columns, &first.channels];
        // What every row adds belongs to the other axes too.
        let origin = own[0].iter().flatten().min().copied().unwrap_or(0);
        let starts = [origin / steps[0], origin % steps[0] / steps[1], origin % steps[1]];
        let mut composed: [Vec<Option<usize>>; 3] = Default::default();
        for axis in 0..3 {
            for place in own[axis] {
                let Some(place) = place else {
                    composed[axis].push(None);
                    continue;
                };
                let far = if axis == 0 { place - origin } else { *place };
                if !far.is_multiple_of(steps[axis]) {
                    return None;
                }
                composed[axis].push(*others[axis].get(starts[axis] + far / steps[axis])?);
            }
        }
        let [rows, columns, channels] = composed;
        Some(Self { rows, columns, channels })
    }

    /// Whether every element lies at its own place in a value of that shape.
    pub fn is_identity(&self, input: Shape) -> bool {
        self.shape() == input && self.sources().enumerate().all(|(to, from)| from == Some(to))
    }
}

impl Operator for IndexMap {
    fn name(&self) -> &'static str {
        "IndexMap"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let elements = self.elements(0..self.rows.len());
        match inputs {
            [x] if elements.end <= x.len() => Ok(self.shape()),
            _ => Err(format!("must be one value of at least {} elements", elements.end)),
        }
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let copies = fixed::Copies::of(self);
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            copies.run(inputs[0], y);
            activation.apply_all(y);
        })
    }

    fn lower(&self, _: &LowerContext) -> Result<FixedOp, LowerError> {
        Ok(FixedIndexMap { map: self.clone() }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Moved
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, inputs: &[Shape], _: Shape) -> Factor {
        self.channel_sources(inputs[0]).map_or(Factor::Refused, Factor::Carried)
    }

    fn without_channels(&self, dropped: &[&[bool]], own: &[bool], _: &[Shape]) -> Option<Op> {
        let (before, gone) = (dropped[0].len(), |channel: usize| dropped[0][channel]);
        let left = |channels: usize| channels - (0..channels).filter(|&at| gone(at)).count();
        let moved =
            |place: &Option<usize>| place.map(|at| at / before * left(before) + left(at % before));
        let pixels = [&self.rows, &self.columns];
        // A row or column may begin at any channel.
        let is_whole = |place: &usize| place.is_multiple_of(before);
        let are_whole = pixels.into_iter().flatten().flatten().all(is_whole);
        let [rows, columns] = pixels.map(|places| places.iter().map(moved).collect());
        let channels = kept(&self.channels, own).iter().map(moved).collect();
        are_whole.then(|| Self { rows, columns, channels }.into())
    }

    fn unscaled(&self, before: &[Option<&ScaleShift>], inputs: &[Shape], _: Shape) -> Option<Op> {
        // A zero that is put in does not become the shift; a channel of zeros alone needs none.
        let has_zeros = [&self.rows, &self.columns].into_iter().flatten().any(Option::is_none);
        let is_shifted = |before: &ScaleShift| {
            let sources = self.channel_sources(inputs[0]).unwrap_or_default();
            sources.iter().flatten().any(|&channel| before.shift[channel] != 0.0)
        };
        let stays = has_zeros && before[0].is_none_or(is_shifted);
        (!stays).then(|| self.clone().into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for IndexMap {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let sources: Vec<Option<usize>> = self.sources().collect();
        each_image(context, move |image| {
            for (at, from) in sources.iter().enumerate() {
                if let Some(from) = *from {
                    image.add(0, from, image.gradient[at]);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_maps_are_one_map() {
        let some = |places: &[usize]| places.iter().copied().map(Some).collect::<Vec<_>>();
        // Of 4 x 3 x 2: every second row from the second on, columns turned round, channel 1 and a zero.
        let first = IndexMap {
            rows: some(&[6, 18]),
            columns: some(&[4, 2, 0]),
            channels: vec![Some(1), None],
        };
        // Of 2 x 3 x 2: the last row, the last two columns twice, both channels in another order.
        let then =
            IndexMap { rows: some(&[8]), columns: some(&[0, 2, 0, 2]), channels: some(&[1, 0]) };
        let both = then.after(&first).unwrap();
        let between: Vec<Option<usize>> = first.sources().collect();
        let expected: Vec<_> = then.sources().map(|i| between[i?]).collect();
        assert_eq!(both.sources().collect::<Vec<_>>(), expected);
        let input = Shape::new(4, 3, 2);
        assert_eq!(both.channel_sources(input), Some(vec![None, Some(1)]));
        assert_eq!(both.elements(0..1), 19..22);
        assert!(both.has_zeros() && !both.is_permutation(input) && !both.is_identity(input));
        // Along no axis of what is in between.
        let across = IndexMap { rows: some(&[0]), columns: some(&[0]), channels: some(&[0, 3]) };
        assert_eq!(across.after(&first), None);
        assert_eq!(across.channel_sources(Shape::new(1, 2, 2)), Some(vec![Some(0), Some(1)]));
        let mixed = IndexMap { rows: some(&[0]), columns: some(&[0, 1]), channels: some(&[0]) };
        assert_eq!(mixed.channel_sources(Shape::new(1, 2, 2)), None);
    }
}
