//! A file's value as a view of a value inside: any number of axes, each of which runs through elements
//! that lie at equal distances. Reshapes and transposes change the view and move nothing.

use super::{
    axes::{Axis, channels_first, extent, shape_of},
    builder::Value,
};
use crate::{graph::NodeId, shape::Shape};

/// Part of an axis of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The images of a batch.
    Batch,
    /// Elements of one image.
    Run(Run),
}

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
            }
        }
        extent
    }

    fn is_batch(&self) -> bool {
        self.pieces == [Piece::Batch]
    }

    /// Its runs, those that continue each other as one.
    pub(crate) fn runs(&self) -> Vec<Run> {
        merged(self.pieces.iter())
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Batch => None,
                Piece::Run(run) => Some(run),
            })
            .collect()
    }
}

/// The pieces, those that continue each other as one.
fn merged<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for &piece in pieces {
        if let (Some(Piece::Run(outer)), Piece::Run(inner)) = (all.last_mut(), piece)
            && outer.stride == inner.stride * inner.extent
        {
            *outer = Run { extent: outer.extent * inner.extent, stride: inner.stride };
            continue;
        }
        all.push(piece);
    }
    all
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
        Self { node: value.node, axes: value.axes.iter().map(axis).collect(), name: None }
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
                axis.pieces.retain(|&piece| piece != Piece::Batch);
            }
            view.axes[0].pieces.push(Piece::Batch);
        }
        view
    }

    /// What its axes are inside, where nothing must be moved for them to be just that.
    pub(crate) fn labels(&self, shape: Shape) -> Option<Vec<Axis>> {
        let usual = channels_first(self.axes.len())?;
        let inside = [Axis::Channel, Axis::Row, Axis::Column];
        let mut labels: Vec<Option<Axis>> = vec![None; self.axes.len()];
        for (i, (axis, label)) in self.axes.iter().zip(&mut labels).enumerate() {
            let run = match axis.runs()[..] {
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

    /// The shape and the elements of a value inside whose axes are these of the view.
    ///
    /// # Errors
    /// Where the batch is not an axis of its own, the first one.
    pub(crate) fn arranged(&self, labels: &[Axis]) -> Result<(Shape, Arrangement), String> {
        let mut arrangement = Arrangement::default();
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
            arrangement[place] = axis.runs();
        }
        let extents: Vec<usize> = extents.iter().map(|extent| extent.of_image).collect();
        Ok((shape_of(labels, &extents), arrangement))
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
        if let Some(batch) = pieces.iter().position(|&piece| piece == Piece::Batch) {
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
    let mut left: Vec<Piece> = pieces.iter().rev().copied().collect();
    let mut axes = Vec::with_capacity(goals.len());
    for goal in goals {
        let (mut rest, mut needs_batch) = (goal.rest, goal.has_batch);
        let mut own = Vec::new();
        while let Some(&piece) = left.last() {
            match piece {
                Piece::Batch if needs_batch => needs_batch = false,
                Piece::Batch if !is_named && rest.is_multiple_of(batch) => rest /= batch,
                Piece::Run(run) if rest > 1 && rest.is_multiple_of(run.extent) => {
                    rest /= run.extent;
                }
                Piece::Run(run) if rest > 1 && run.extent.is_multiple_of(rest) => {
                    let inner = run.extent / rest;
                    left.pop();
                    left.push(Piece::Run(Run { extent: inner, stride: run.stride }));
                    let stride = run.stride * inner;
                    own.push(Piece::Run(Run { extent: rest, stride }));
                    rest = 1;
                    continue;
                }
                _ => break,
            }
            own.push(piece);
            left.pop();
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
