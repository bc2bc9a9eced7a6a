//! A file's value as a view of a value inside: any number of axes, each of which runs through elements
//! at equal distances, or through those that a table lists. What only chooses and orders elements (reshapes,
//! transposes, slices, repetitions) changes the view and moves nothing.

use super::{
    axes::{Axis, channels_first, extent, shape_of},
    builder::Value,
};
use crate::{graph::NodeId, shape::Shape};
use std::sync::Arc;

/// Part of an axis of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The images of a batch.
    Batch,
    /// Elements of one image.
    Run(Run),
    /// Elements of one image at these distances from the first of the view; `None` is a zero.
    Table(Table),
}

/// Where elements lie in the `[h, w, c]` order inside; `None` for a zero that lies nowhere.
pub(crate) type Table = Arc<[Option<usize>]>;

/// So many elements, that far from each other in the `[h, w, c]` order inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) extent: usize,
    pub(crate) stride: usize,
}

/// One axis of a view: the product of its pieces, the outermost first; none for an extent of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ViewAxis {
    pieces: Vec<Piece>,
    /// What an axis of one element was called before.
    label: Option<Axis>,
}

/// A file's value: the node that computes its elements, and how the file's axes run through them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) node: NodeId,
    /// Where the element lies from which the axes run.
    pub(crate) start: usize,
    pub(crate) axes: Vec<ViewAxis>,
    /// The file's node that changed the axes last.
    pub(crate) name: Option<String>,
}

/// An extent of a view: elements of one image, and whether the batch is a factor of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) of_image: usize,
    pub(crate) has_batch: bool,
}

/// An extent that a reshape asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A number.
    Known(usize),
    /// The number of images times a number.
    Batch(usize),
    /// That of the same axis before.
    Same,
    /// What is left.
    Open,
}

/// What the images of one value are, in order, for each axis `[h, w, c]`.
pub(crate) type Arrangement = [Vec<Run>; 3];

/// The elements of a value by its axes `[h, w, c]`: where each lies in another one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    /// Extents of the other value.
    pub(crate) from: Shape,
    /// Extents of the value.
    pub(crate) shape: Shape,
    start: usize,
    axes: [Vec<Piece>; 3],
}

impl Layout {
    /// Where the elements lie as runs along each axis, where each element of the other value is taken once
    /// and nothing else.
    pub(crate) fn permutation(&self) -> Option<Arrangement> {
        let mut arrangement = Arrangement::default();
        for (runs, pieces) in arrangement.iter_mut().zip(&self.axes) {
            *runs = runs_of(pieces)?;
        }
        let mut all: Vec<Run> = arrangement.iter().flatten().copied().collect();
        all.sort_unstable_by_key(|run| run.stride);
        let next = all
            .iter()
            .try_fold(1, |stride, run| (run.stride == stride).then_some(stride * run.extent));
        (next == Some(self.from.len()) && self.start == 0).then_some(arrangement)
    }

    /// Whether every element lies at its own place.
    pub(crate) fn is_in_place(&self) -> bool {
        let own = View::of(
            &Value { node: 0, axes: vec![Axis::Row, Axis::Column, Axis::Channel] },
            self.shape,
        );
        let own = own.axes.iter().map(|axis| &axis.pieces);
        self.from == self.shape && self.start == 0 && own.eq(self.axes.iter())
    }

    /// For each axis, where its elements lie; an element's place is the sum over the axes, and it is a zero
    /// where one of them is.
    pub(crate) fn tables(&self) -> [Vec<Option<usize>>; 3] {
        let [mut rows, columns, channels] = self.axes.each_ref().map(|pieces| listed(pieces));
        rows.iter_mut().flatten().for_each(|place| *place += self.start);
        [rows, columns, channels]
    }
}

/// The runs that pieces of one image are; `None` where one is a table or the batch.
fn runs_of(pieces: &[Piece]) -> Option<Vec<Run>> {
    let run = |piece: &Piece| match piece {
        Piece::Run(run) => Some(*run),
        Piece::Batch | Piece::Table(_) => None,
    };
    pieces.iter().map(run).collect()
}

/// Where the elements of nested pieces lie, the batch left out.
fn listed(pieces: &[Piece]) -> Vec<Option<usize>> {
    let mut places = vec![Some(0)];
    for piece in pieces {
        let inner: Vec<Option<usize>> = match piece {
            Piece::Batch => continue,
            Piece::Run(run) => (0..run.extent).map(|i| Some(i * run.stride)).collect(),
            Piece::Table(table) => table.to_vec(),
        };
        let sum = |outer: Option<usize>| inner.iter().map(move |&place| Some(outer? + place?));
        places = places.into_iter().flat_map(sum).collect();
    }
    places
}

/// A list of places as nested runs from a first one, where it is that; else a table.
fn nested(places: &[Option<usize>]) -> (usize, Vec<Piece>) {
    let runs = || -> Option<(usize, Vec<Piece>)> {
        let (mut places, mut runs) =
            (places.iter().copied().collect::<Option<Vec<usize>>>()?, vec![]);
        while places.len() > 1 {
            let stride = places[1].checked_sub(places[0])?;
            let is_next = |pair: &&[usize]| pair[1].checked_sub(pair[0]) == Some(stride);
            let extent = 1 + places.windows(2).take_while(is_next).count();
            if !places.len().is_multiple_of(extent) {
                return None;
            }
            let is_alike = |own: &[usize]| (0..extent).all(|i| own[i] == own[0] + i * stride);
            if !places.chunks_exact(extent).all(is_alike) {
                return None;
            }
            runs.insert(0, Piece::Run(Run { extent, stride }));
            places = places.into_iter().step_by(extent).collect();
        }
        Some((*places.first()?, runs))
    };
    runs().unwrap_or_else(|| (0, vec![Piece::Table(places.into())]))
}

/// A table as two nested ones, the outer of so many elements.
fn split(table: &[Option<usize>], outer: usize) -> Option<(Table, Table)> {
    let inner = table.len() / outer;
    let first = table.iter().position(Option::is_some)?;
    let (row, column) = (first / inner * inner, first % inner);
    let base = table[first]?;
    let inside: Vec<Option<usize>> = table[row..row + inner].to_vec();
    let least = inside.iter().flatten().min().copied()?;
    let inside: Vec<Option<usize>> = inside.iter().map(|place| Some((*place)? - least)).collect();
    let outside = |own: &[Option<usize>]| (own[column]? + least).checked_sub(base);
    let outside: Vec<Option<usize>> = table.chunks_exact(inner).map(outside).collect();
    let sum = outside.iter().flat_map(|&o| inside.iter().map(move |&i| Some(o? + i?)));
    sum.eq(table.iter().copied()).then(|| (outside.into(), inside.into()))
}

impl Piece {
    /// Two nested pieces with the same elements, the outer one of so many; `None` where there are none.
    fn split(&self, outer: usize) -> Option<(Self, Self)> {
        match self {
            Self::Batch => None,
            Self::Run(run) => {
                let inner = Run { extent: run.extent / outer, stride: run.stride };
                let outer = Run { extent: outer, stride: run.stride * inner.extent };
                Some((Self::Run(outer), Self::Run(inner)))
            }
            Self::Table(table) => {
                let (outer, inner) = split(table, outer)?;
                Some((Self::Table(outer), Self::Table(inner)))
            }
        }
    }
}

impl Run {
    /// The run over one axis of a value inside.
    fn of(shape: Shape, axis: Axis) -> Option<Self> {
        let stride = match axis {
            Axis::Batch => return None,
            Axis::Row => shape.w * shape.c,
            Axis::Column => shape.c,
            Axis::Channel => 1,
        };
        let extent = extent(shape, axis);
        (extent > 1).then_some(Self { extent, stride })
    }
}

impl ViewAxis {
    fn extent(&self) -> Extent {
        let mut extent = Extent { of_image: 1, has_batch: false };
        for piece in &self.pieces {
            match piece {
                Piece::Batch => extent.has_batch = true,
                Piece::Run(run) => extent.of_image *= run.extent,
                Piece::Table(table) => extent.of_image *= table.len(),
            }
        }
        extent
    }

    fn is_batch(&self) -> bool {
        self.pieces == [Piece::Batch]
    }

    /// Its pieces within an image, those that continue each other as one.
    fn of_image(&self) -> Vec<Piece> {
        merged(self.pieces.iter().filter(|piece| **piece != Piece::Batch))
    }

    /// Its runs, those that continue each other as one; `None` where there is a table.
    pub(crate) fn runs(&self) -> Option<Vec<Run>> {
        runs_of(&self.of_image())
    }

    /// The axis inside along which its elements lie, the farthest apart counted.
    fn label_inside(&self, shape: Shape) -> Option<Axis> {
        let (row, column) = (shape.w * shape.c, shape.c);
        let of = |distance: usize, span: usize| match () {
            () if distance.is_multiple_of(row) => Axis::Row,
            () if distance.is_multiple_of(column) && span < row => Axis::Column,
            () => Axis::Channel,
        };
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Batch => None,
            Piece::Run(run) => (run.stride > 0).then(|| of(run.stride, run.stride)),
            Piece::Table(table) => {
                let least = table.iter().flatten().min()?;
                let far = table.iter().flatten().map(|place| place - least);
                let span = far.clone().max().filter(|&span| span > 0)?;
                let common = far.fold(0, greatest_common_divisor);
                Some(of(common, span))
            }
        })
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The pieces, those that continue each other as one.
fn merged<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        if let (Some(Piece::Run(outer)), Piece::Run(inner)) = (all.last_mut(), piece)
            && outer.stride == inner.stride * inner.extent
        {
            *outer = Run { extent: outer.extent * inner.extent, stride: inner.stride };
            continue;
        }
        all.push(piece.clone());
    }
    all
}

impl Extent {
    /// What keeps it in a reshape.
    pub(crate) fn kept(self) -> Target {
        if self.has_batch { Target::Batch(self.of_image) } else { Target::Known(self.of_image) }
    }
}

impl View {
    /// A value whose axes are those inside.
    pub(crate) fn of(value: &Value, shape: Shape) -> Self {
        let axis = |&axis: &Axis| ViewAxis {
            pieces: match axis {
                Axis::Batch => vec![Piece::Batch],
                _ => Run::of(shape, axis).map(Piece::Run).into_iter().collect(),
            },
            label: Some(axis),
        };
        let axes = value.axes.iter().map(axis).collect();
        Self { node: value.node, start: 0, axes, name: None }
    }

    /// The extents of its axes.
    pub(crate) fn extents(&self) -> Vec<Extent> {
        self.axes.iter().map(ViewAxis::extent).collect()
    }

    /// Whether its axes run through the value inside as those of another view do.
    pub(crate) fn runs_as(&self, other: &Self) -> bool {
        let pieces = |axis: &ViewAxis| merged(axis.pieces.iter());
        self.axes.len() == other.axes.len()
            && self.axes.iter().zip(&other.axes).all(|(a, b)| pieces(a) == pieces(b))
    }

    /// The same elements, with a batch of one image on the first axis where that has one element.
    pub(crate) fn with_batch_first(&self, batch: Option<usize>) -> Self {
        let mut view = self.clone();
        let first_is_free = view.axes.first().is_some_and(|axis| axis.pieces.is_empty());
        if batch == Some(1) && first_is_free {
            for axis in &mut view.axes {
                axis.pieces.retain(|piece| *piece != Piece::Batch);
            }
            view.axes[0].pieces.push(Piece::Batch);
        }
        view
    }

    /// What its axes are inside: those along which their elements lie.
    pub(crate) fn labels(&self, shape: Shape) -> Option<Vec<Axis>> {
        let labels = self.labels_in_place(shape).filter(|_| self.start == 0);
        labels.or_else(|| self.labels_elsewhere(shape))
    }

    /// What its axes are in the value that is made of a view which does not hold each element once.
    fn labels_elsewhere(&self, shape: Shape) -> Option<Vec<Axis>> {
        let usual = channels_first(self.axes.len()).filter(|usual| usual.len() > 2)?;
        let layout = self.layout(shape, &usual).ok()?;
        if layout.permutation().is_some_and(|runs| runs.iter().all(|runs| runs.len() <= 1)) {
            return None;
        }
        let mut labels = vec![None; self.axes.len()];
        labels[0] = Some(Axis::Batch);
        for (axis, label) in self.axes.iter().zip(&mut labels).skip(1) {
            *label = axis.label_inside(shape);
        }
        let is_repeated = |label: &Option<Axis>| {
            label.is_some() && labels.iter().filter(|other| *other == label).count() > 1
        };
        if labels.iter().any(is_repeated) {
            return None;
        }
        for i in 1..labels.len() {
            let inside = [Axis::Channel, Axis::Row, Axis::Column];
            let wanted = [self.axes[i].label, Some(usual[i])].into_iter().flatten().chain(inside);
            if labels[i].is_none() {
                labels[i] = wanted.into_iter().find(|axis| !labels.contains(&Some(*axis)));
            }
        }
        labels.into_iter().collect()
    }

    /// What its axes are inside, where nothing must be moved for them to be just that.
    fn labels_in_place(&self, shape: Shape) -> Option<Vec<Axis>> {
        let usual = channels_first(self.axes.len())?;
        let inside = [Axis::Channel, Axis::Row, Axis::Column];
        let mut labels: Vec<Option<Axis>> = vec![None; self.axes.len()];
        for (i, (axis, label)) in self.axes.iter().zip(&mut labels).enumerate() {
            let run = match axis.runs()?[..] {
                _ if axis.is_batch() && i == 0 => {
                    *label = Some(Axis::Batch);
                    continue;
                }
                _ if axis.extent().has_batch => return None,
                [] => continue,
                [run] => run,
                _ => return None,
            };
            *label = inside.into_iter().find(|&axis| Run::of(shape, axis) == Some(run));
            label.as_ref()?;
        }
        // A value without a batch: its first axis of one element stands for it.
        if labels[0].is_none() {
            labels[0] = Some(Axis::Batch);
        }
        if labels[0] != Some(Axis::Batch) {
            return None;
        }
        for i in 1..labels.len() {
            if labels[i].is_some() {
                continue;
            }
            let wanted = [self.axes[i].label, Some(usual[i])].into_iter().flatten().chain(inside);
            let is_free = |axis: &Axis| extent(shape, *axis) == 1 && !labels.contains(&Some(*axis));
            let free = wanted.into_iter().find(is_free)?;
            labels[i] = Some(free);
        }
        labels.into_iter().collect()
    }

    /// The value inside whose axes are these of the view, of one with extents `from`.
    ///
    /// # Errors
    /// Where the batch is not an axis of its own, the first one.
    pub(crate) fn layout(&self, from: Shape, labels: &[Axis]) -> Result<Layout, String> {
        let mut axes = <[Vec<Piece>; 3]>::default();
        let extents = self.extents();
        for ((axis, extent), label) in self.axes.iter().zip(&extents).zip(labels) {
            let place = match label {
                Axis::Batch if extent.of_image == 1 => continue,
                Axis::Row if !extent.has_batch => 0,
                Axis::Column if !extent.has_batch => 1,
                Axis::Channel if !extent.has_batch => 2,
                _ => {
                    return Err("the batch must be the first axis of its input, apart from all \
                                others"
                        .to_owned());
                }
            };
            axes[place] = axis.of_image();
        }
        let extents: Vec<usize> = extents.iter().map(|extent| extent.of_image).collect();
        Ok(Layout { from, shape: shape_of(labels, &extents), start: self.start, axes })
    }

    /// Where the elements of one image lie inside, in the order of the file, of a view without zeros.
    pub(crate) fn places(&self) -> Vec<usize> {
        let mut places = vec![self.start];
        for piece in self.axes.iter().flat_map(ViewAxis::of_image) {
            let far: Vec<usize> = match piece {
                Piece::Batch => continue,
                Piece::Run(run) => (0..run.extent).map(|i| i * run.stride).collect(),
                Piece::Table(table) => table.iter().map(|far| far.unwrap_or(0)).collect(),
            };
            let behind =
                |&place: &usize| far.iter().map(move |far| place + far).collect::<Vec<_>>();
            places = places.iter().flat_map(behind).collect();
        }
        places
    }

    /// Elements of one image.
    pub(crate) fn len(&self) -> usize {
        self.extents().iter().map(|extent| extent.of_image).product()
    }

    /// Whether it holds each element of a value of that shape once, and nothing else.
    pub(crate) fn is_permutation(&self, shape: Shape) -> bool {
        let pieces = self.axes.iter().flat_map(ViewAxis::of_image).collect();
        let axes = [pieces, vec![], vec![]];
        Layout { from: shape, shape, start: self.start, axes }.permutation().is_some()
    }

    /// Along one axis, those of its elements in that order; `None` is a zero.
    ///
    /// # Errors
    /// Where that is the batch.
    pub(crate) fn taken(&self, axis: usize, indices: &[Option<usize>]) -> Result<Self, String> {
        let own = &self.axes[axis];
        let extent = own.extent();
        if (0..extent.of_image).map(Some).eq(indices.iter().copied()) {
            return Ok(self.clone());
        }
        if extent.has_batch {
            return Err("takes elements along the batch axis; export it with a batch of one image"
                .to_owned());
        }
        if indices.is_empty() {
            return Err("takes no element".to_owned());
        }
        let all = listed(&own.pieces);
        let places: Vec<Option<usize>> = indices.iter().map(|&i| all[i?]).collect();
        let mut view = self.clone();
        let (start, pieces) = nested(&places);
        view.start += start;
        view.axes[axis] = ViewAxis { pieces, label: own.label };
        Ok(view)
    }

    /// Each axis so many times over.
    ///
    /// # Errors
    /// Where one is the batch.
    pub(crate) fn tiled(&self, repeats: &[usize]) -> Result<Self, String> {
        let mut view = self.clone();
        for (axis, &extent) in view.axes.iter_mut().zip(repeats).filter(|(_, n)| **n != 1) {
            if axis.extent().has_batch {
                return Err("repeats the images of the batch".to_owned());
            }
            axis.pieces.insert(0, Piece::Run(Run { extent, stride: 0 }));
        }
        Ok(view)
    }

    /// The same elements; a batch of one image is no longer part of that axis.
    pub(crate) fn without_batch(&self, axis: usize, batch: Option<usize>) -> Self {
        let mut view = self.clone();
        if batch == Some(1) {
            view.axes[axis].pieces.retain(|piece| *piece != Piece::Batch);
        }
        view
    }

    /// The first so many axes as one.
    pub(crate) fn joined(&self, n: usize) -> Self {
        let mut view = self.clone();
        let pieces = view.axes.drain(..n).flat_map(|axis| axis.pieces).collect();
        view.axes.insert(0, ViewAxis { pieces, label: None });
        view
    }

    /// Whether the images of a batch lie on an axis that has other elements too, or on another one than the first.
    pub(crate) fn mixes_batch(&self) -> bool {
        let is_mixed =
            |(i, extent): (usize, Extent)| extent.has_batch && (i > 0 || extent.of_image > 1);
        self.extents().into_iter().enumerate().any(is_mixed)
    }

    /// Whether the first axis is the batch and nothing else, or has one element, and the batch is nowhere else.
    pub(crate) fn has_batch_apart(&self) -> bool {
        let is_one = self.axes.first().is_none_or(|axis| axis.extent().of_image == 1);
        is_one && !self.mixes_batch()
    }

    /// The elements behind an axis for the batch, the others as so many axes in one each time; `None` where the
    /// batch is not what its elements begin with.
    pub(crate) fn grouped(&self, sizes: &[usize], batch: Option<usize>) -> Option<Self> {
        let mut left = self.axes.iter();
        let mut axes = vec![ViewAxis { pieces: vec![Piece::Batch], label: None }];
        for (i, &size) in sizes.iter().enumerate() {
            let own = left.by_ref().take(size).flat_map(|axis| axis.pieces.clone());
            let mut pieces: Vec<Piece> = own.collect();
            if batch == Some(1) {
                pieces.retain(|piece| *piece != Piece::Batch);
            } else if i == 0 && pieces.first() == Some(&Piece::Batch) {
                pieces.remove(0);
            }
            if pieces.contains(&Piece::Batch) {
                return None;
            }
            axes.push(ViewAxis { pieces, label: None });
        }
        Some(Self { axes, ..self.clone() })
    }

    /// The axes in another order.
    pub(crate) fn transposed(&self, order: &[usize]) -> Self {
        let axes = order.iter().map(|&axis| self.axes[axis].clone()).collect();
        Self { axes, ..self.clone() }
    }

    /// Without some axes of one element.
    pub(crate) fn squeezed(&self, dropped: &[usize]) -> Self {
        let mut view = self.clone();
        let has_batch = dropped.iter().any(|&axis| view.axes[axis].extent().has_batch);
        let mut axis = 0;
        view.axes.retain(|_| {
            axis += 1;
            !dropped.contains(&(axis - 1))
        });
        // A batch of one image does not get lost.
        if has_batch && let Some(first) = view.axes.first_mut() {
            first.pieces.insert(0, Piece::Batch);
        }
        view
    }

    /// With axes of one element at those places of the result, in order.
    pub(crate) fn unsqueezed(&self, added: &[usize]) -> Self {
        let mut view = self.clone();
        added.iter().for_each(|&axis| view.axes.insert(axis, ViewAxis::default()));
        view
    }

    /// The elements in one axis after the batch.
    pub(crate) fn flat_order(&self) -> Option<Self> {
        let mut pieces: Vec<Piece> =
            self.axes.iter().flat_map(|axis| axis.pieces.clone()).collect();
        if let Some(batch) = pieces.iter().position(|piece| *piece == Piece::Batch) {
            if batch != 0 {
                return None;
            }
            pieces.remove(0);
        }
        let batch = ViewAxis { pieces: vec![Piece::Batch], label: None };
        let axes = vec![batch, ViewAxis { pieces, label: None }];
        Some(Self { axes, ..self.clone() })
    }

    /// Other axes for the same elements in the same order; `None` where an axis would run through
    /// elements at unequal distances.
    ///
    /// `batch` is the number of images where the file fixes it.
    ///
    /// # Errors
    /// Where the extents do not fit.
    pub(crate) fn reshaped(
        &self,
        targets: &[Target],
        batch: Option<usize>,
    ) -> Result<Option<Self>, String> {
        let goals = goals(&self.extents(), targets, batch)?;
        let pieces: Vec<Piece> = self.axes.iter().flat_map(|axis| axis.pieces.clone()).collect();
        let axes = divided(&merged(pieces.iter()), &goals, batch.unwrap_or(1));
        Ok(axes.map(|axes| Self { axes, ..self.clone() }))
    }
}

/// An extent of the result of a reshape. Without a batch of its own anywhere, the number of images is
/// a factor of `rest` where it stands in the order of elements.
#[derive(Clone, Copy, Debug)]
struct Goal {
    rest: usize,
    has_batch: bool,
}

fn goals(
    extents: &[Extent],
    targets: &[Target],
    batch: Option<usize>,
) -> Result<Vec<Goal>, String> {
    let elements: usize = extents.iter().map(|extent| extent.of_image).product();
    let all = if extents.iter().any(|extent| extent.has_batch) { batch.unwrap_or(1) } else { 1 };
    let wrong = || {
        let shown: Vec<String> = targets.iter().map(Target::to_string).collect();
        format!(
            "cannot reshape {elements} elements per image to [{}]; the first axis must stay the batch",
            shown.join(", ")
        )
    };
    let named = |target: &Target, i: usize| match *target {
        Target::Known(rest) => Ok(Some(Goal { rest, has_batch: false })),
        Target::Batch(rest) => Ok(Some(Goal { rest, has_batch: true })),
        Target::Open => Ok(None),
        Target::Same => match extents.get(i) {
            // A number that the file fixes is a factor like any other.
            Some(extent) if extent.has_batch && batch.is_some() => {
                Ok(Some(Goal { rest: extent.of_image * all, has_batch: false }))
            }
            Some(extent) => Ok(Some(Goal { rest: extent.of_image, has_batch: extent.has_batch })),
            None => Err("copies an axis its input does not have".to_owned()),
        },
    };
    let mut goals = Vec::with_capacity(targets.len());
    for (i, target) in targets.iter().enumerate() {
        goals.push(named(target, i)?);
    }
    if goals.iter().filter(|goal| goal.is_none()).count() > 1
        || goals.iter().flatten().filter(|goal| goal.has_batch).count() > 1
    {
        return Err(wrong());
    }
    let product = |goals: &[Option<Goal>]| {
        goals.iter().flatten().try_fold(1_usize, |n, goal| n.checked_mul(goal.rest))
    };
    // The first extent is the batch, as 1, -1 or the number that the file fixes, where the others hold
    // one image.
    if let Some(rest) = goals.get(1..)
        && let Some(known) = product(rest).filter(|&known| known > 0)
    {
        let open = rest.iter().any(Option::is_none);
        let may_be_batch = match targets[0] {
            Target::Open => true,
            Target::Same => extents[0].of_image == 1,
            Target::Batch(n) => n == 1,
            // Without its number, any will do where nothing else fits.
            Target::Known(n) => batch.map_or(n == 1 || !open, |batch| n == batch),
        };
        let is_named = rest.iter().flatten().any(|goal| goal.has_batch);
        let holds = known == elements || open && elements.is_multiple_of(known);
        if may_be_batch && !is_named && holds {
            goals[0] = Some(Goal { rest: 1, has_batch: true });
            let left = Goal { rest: elements / known, has_batch: false };
            return Ok(goals.into_iter().map(|goal| goal.unwrap_or(left)).collect());
        }
    }
    let is_named = goals.iter().flatten().any(|goal| goal.has_batch);
    let all = if is_named { elements } else { elements.checked_mul(all).ok_or_else(wrong)? };
    let known = product(&goals).filter(|&known| known > 0).ok_or_else(wrong)?;
    let open = goals.iter().any(Option::is_none);
    if all % known != 0 || !open && all != known {
        return Err(wrong());
    }
    let left = Goal { rest: all / known, has_batch: false };
    Ok(goals.into_iter().map(|goal| goal.unwrap_or(left)).collect())
}

/// The pieces in their order, divided among the goals.
fn divided(pieces: &[Piece], goals: &[Goal], batch: usize) -> Option<Vec<ViewAxis>> {
    let is_named = goals.iter().any(|goal| goal.has_batch);
    let mut left: Vec<Piece> = pieces.iter().rev().cloned().collect();
    let mut axes = Vec::with_capacity(goals.len());
    for goal in goals {
        let (mut rest, mut needs_batch) = (goal.rest, goal.has_batch);
        let mut own = Vec::new();
        while let Some(piece) = left.last() {
            let extent = match piece {
                Piece::Batch if needs_batch => {
                    needs_batch = false;
                    1
                }
                Piece::Batch if !is_named && rest.is_multiple_of(batch) => batch,
                Piece::Batch => break,
                Piece::Run(run) => run.extent,
                Piece::Table(table) => table.len(),
            };
            let is_batch = *piece == Piece::Batch;
            if is_batch || rest > 1 && rest.is_multiple_of(extent) {
                rest /= extent;
                own.extend(left.pop());
                continue;
            }
            if rest <= 1 || !extent.is_multiple_of(rest) {
                break;
            }
            let (outer, inner) = piece.split(rest)?;
            left.pop();
            left.push(inner);
            own.push(outer);
            rest = 1;
        }
        // A value without a batch has one image.
        let has_none = !pieces.contains(&Piece::Batch);
        if rest != 1 || needs_batch && !has_none {
            return None;
        }
        axes.push(ViewAxis { pieces: own, label: None });
    }
    left.is_empty().then_some(axes)
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(n) => write!(f, "{n}"),
            Self::Batch(1) => f.write_str("batch"),
            Self::Batch(n) => write!(f, "batch*{n}"),
            Self::Same => f.write_str("0"),
            Self::Open => f.write_str("-1"),
        }
    }
}
