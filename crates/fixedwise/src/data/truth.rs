//! What is known of images beside their pixels: a class of each, or an array that goes with the first output of the
//! network.

use super::raw::{Labels, Raw, Values};
use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{Output, Shape};
use fixedwise_search::{MetricName, Truth};

/// What labels are to go with.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// What counts, where that is said.
    pub(crate) metric: Option<MetricName>,
    /// The largest value that there can be, where that is said.
    pub(crate) peak: Option<f64>,
    /// Classes of the network.
    pub(crate) classes: usize,
    /// The first output of the network and its extents inside.
    pub(crate) output: (Output, Shape),
    /// Extents of an image as the network takes it.
    pub(crate) input: Shape,
}

/// What is known of each image.
#[derive(Clone, Debug)]
pub(super) enum Truths {
    None,
    Classes(Vec<usize>),
    /// For each image so many places.
    Maps {
        places: usize,
        labels: Vec<u8>,
    },
    /// For each image so many values, `[h, w, c]`.
    Values {
        len: usize,
        values: Vec<f32>,
    },
    /// Classes of images, each of so many values, `[h, w, c]`, that outputs are to be copies of.
    Copied {
        classes: Vec<usize>,
        len: usize,
        values: Vec<f32>,
    },
}

/// What the labels of a set say, and what counts by them.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) truths: Truths,
    /// Absent where nothing is known of images: then they count where networks agree.
    pub(super) metric: Option<MetricName>,
    /// The largest value that there can be; one where it does not matter.
    pub(super) peak: f64,
}

impl Truths {
    /// What is known of an image.
    pub(super) fn of(&self, idx: usize) -> Truth<'_> {
        match self {
            Self::None => Truth::None,
            Self::Classes(classes) => Truth::Class(classes[idx]),
            Self::Maps { places, labels } => Truth::Map(&labels[idx * places..][..*places]),
            Self::Values { len, values } => Truth::Values(&values[idx * len..][..*len]),
            Self::Copied { classes, len, values } => {
                Truth::Copied(classes[idx], &values[idx * len..][..*len])
            }
        }
    }

    /// Keeps those of the first images.
    pub(super) fn truncate(&mut self, n: usize) {
        match self {
            Self::None => {}
            Self::Classes(classes) | Self::Copied { classes, .. } => classes.truncate(n),
            Self::Maps { places, labels } => labels.truncate(n * *places),
            Self::Values { len, values } => values.truncate(n * *len),
        }
    }

    /// A number that differs for different labels of an image.
    pub(super) fn fingerprint(&self, idx: usize) -> u64 {
        let mix = |hash: u64, word: u32| {
            (hash ^ u64::from(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5)
        };
        match self.of(idx) {
            Truth::None => u64::MAX,
            // The image itself is told apart by its pixels.
            Truth::Class(class) | Truth::Copied(class, _) => count_to_u64(class),
            Truth::Map(labels) => labels.iter().fold(1, |hash, &x| mix(hash, u32::from(x))),
            Truth::Values(values) => values.iter().fold(2, |hash, x| mix(hash, x.to_bits())),
        }
    }
}

impl Labels {
    /// Extents for one image, without those of one.
    fn extents(&self) -> Vec<usize> {
        beyond_one(&self.dims[1..])
    }

    /// Whether they are floats, all of them 0 or 1: such as classes may be stored.
    fn is_of_bits(&self) -> bool {
        let is_bit = |x: &f32| x.to_bits() == 0 || x.to_bits() == 1.0_f32.to_bits();
        matches!(&self.values, Values::F32(x) if x.iter().all(is_bit))
    }

    fn is_integers(&self) -> bool {
        !matches!(self.values, Values::F32(_))
    }
}

fn beyond_one(extents: &[usize]) -> Vec<usize> {
    extents.iter().copied().filter(|&extent| extent != 1).collect()
}

impl Expected {
    /// Of a network that tells so many classes apart.
    #[cfg(test)]
    pub(super) fn of_classes(classes: usize) -> Self {
        let output = (Output::new("y", 0), Shape::vector(classes));
        Self { metric: None, peak: None, classes, output, input: Shape::vector(1) }
    }

    /// Extents of the first output in the file, for one image.
    fn extents(&self) -> Vec<usize> {
        let (output, shape) = &self.output;
        output.extents(*shape)
    }

    /// The output without its channels: an element for each place.
    fn places(&self) -> (Output, Shape) {
        let (output, shape) = &self.output;
        (output.without_channels(), Shape::new(shape.h, shape.w, 1))
    }

    /// Whether targets have the extents of an output; where the file has its places in one axis, whether they are as
    /// many.
    fn is_of(targets: &Labels, (output, shape): &(Output, Shape)) -> bool {
        let (found, expected) = (targets.extents(), beyond_one(&output.extents(*shape)));
        let is_flat = expected.len() == 1 && found.iter().product::<usize>() == expected[0];
        found == expected || is_flat
    }

    fn is_of_places(&self, targets: &Labels) -> bool {
        let (_, shape) = &self.output;
        shape.h * shape.w > 1 && targets.is_integers() && Self::is_of(targets, &self.places())
    }

    fn is_of_values(&self, targets: &Labels) -> bool {
        Self::is_of(targets, &self.output)
    }

    /// What labels say, and what counts by them: what is asked for or, where nothing is, what goes with their extents.
    pub(super) fn known(&self, raw: &mut Raw) -> Result<Known, String> {
        let (labels, targets) = (raw.labels.take(), raw.targets.take());
        let n_images = raw.dims.first().copied().unwrap_or(0);
        let n_labels = labels.as_ref().map(Vec::len).or(targets.as_ref().map(|t| t.dims[0]));
        if let Some(n) = n_labels.filter(|&n| n != n_images) {
            return Err(format!("has {n_images} images but {n} labels"));
        }
        let known = |truths, metric| Known { truths, metric, peak: 1.0 };
        let Some(metric) = self.metric.or_else(|| self.fitting(targets.as_ref())) else {
            // As labels of classes.
            return match (labels, targets) {
                (Some(labels), _) => Ok(known(self.classes(&labels, raw)?, Some(MetricName::Top1))),
                (None, Some(targets)) => Err(self.no_labels(&targets)),
                (None, None) => Ok(known(Truths::None, None)),
            };
        };
        match (metric, labels, targets) {
            (MetricName::Sqnr, labels, _) => {
                let classes = labels.and_then(|labels| self.classes(&labels, raw).ok());
                Ok(known(classes.unwrap_or(Truths::None), Some(metric)))
            }
            // Whether they are needed is for whoever measures on the images.
            (_, None, None) => Ok(known(Truths::None, None)),
            (MetricName::Top5, Some(_), _) if self.classes <= 5 => Err(format!(
                "has labels for the metric top5, which needs more than five classes; the network has {}",
                self.classes
            )),
            (MetricName::Top1 | MetricName::Top5, Some(labels), _) => {
                Ok(known(self.classes(&labels, raw)?, Some(metric)))
            }
            (MetricName::Auc, Some(labels), _) => {
                let shape = self.output.1;
                if shape.len() > 2 && shape != self.input {
                    return Err(format!(
                        "has labels for the metric auc, which needs one score or two classes for each image, \
                         or an output that is to be a copy of the image; the first output has the shape {:?}",
                        self.extents()
                    ));
                }
                let truths = match (Self { classes: 2, ..self.clone() }).classes(&labels, raw)? {
                    Truths::Classes(classes) if shape.len() > 2 => {
                        Truths::Copied { classes, len: shape.len(), values: Vec::new() }
                    }
                    truths => truths,
                };
                Ok(known(truths, Some(metric)))
            }
            (MetricName::Miou, None, Some(targets)) if self.is_of_places(&targets) => {
                Ok(known(self.maps(&targets, raw)?, Some(metric)))
            }
            (MetricName::Mae | MetricName::Psnr, None, Some(targets))
                if self.is_of_values(&targets) =>
            {
                let truths = self.values(&targets, raw)?;
                let peak = if metric == MetricName::Psnr { self.peak(&targets)? } else { 1.0 };
                Ok(Known { peak, ..known(truths, Some(metric)) })
            }
            (MetricName::Mae | MetricName::Psnr, Some(labels), _) if self.output.1.len() == 1 => {
                let targets = Labels { dims: vec![n_images], values: Values::I64(labels) };
                let truths = self.values(&targets, raw)?;
                let peak = if metric == MetricName::Psnr { self.peak(&targets)? } else { 1.0 };
                Ok(Known { peak, ..known(truths, Some(metric)) })
            }
            (_, _, targets) => Err(format!(
                "has labels of shape {:?} for each image, but the metric {metric} needs {}; the first output has \
                 the shape {:?}",
                targets.map_or(Vec::new(), |targets| targets.dims[1..].to_vec()),
                needed(metric),
                self.extents()
            )),
        }
    }

    /// The metric that goes with targets by their extents.
    fn fitting(&self, targets: Option<&Labels>) -> Option<MetricName> {
        let targets = targets?;
        let (_, shape) = &self.output;
        if self.is_of_places(targets) {
            Some(MetricName::Miou)
        } else if self.is_of_values(targets) && shape.h * shape.w > 1 {
            Some(MetricName::Psnr)
        } else if self.is_of_values(targets) && !targets.is_integers() && !targets.is_of_bits() {
            Some(MetricName::Mae)
        } else {
            None
        }
    }

    /// Why targets are no labels that anything is known of.
    fn no_labels(&self, targets: &Labels) -> String {
        let (_, shape) = &self.output;
        if shape.h * shape.w > 1 {
            return format!(
                "has labels of shape {:?} for each image; a network whose first output has the shape {:?} needs \
                 integers of shape {:?} (classes of places) or values of the output's shape",
                &targets.dims[1..],
                self.extents(),
                self.places().0.extents(self.places().1)
            );
        }
        if targets.is_of_bits() && self.is_of_values(targets) {
            return "has labels that are floats of 0 and 1: store one class number per image as integers or, if \
                    they are values, add `--metric mae`"
                .to_owned();
        }
        if !targets.is_integers() && targets.extents().is_empty() {
            return "has labels that are not integers".to_owned();
        }
        "has labels with several columns; one class number per image is required".to_owned()
    }

    fn classes(&self, labels: &[i64], raw: &Raw) -> Result<Truths, String> {
        let classes = self.classes;
        let check = |(idx, &label): (usize, &i64)| {
            usize::try_from(label).ok().filter(|&label| label < classes).ok_or_else(|| {
                format!(
                    "label {label} of {} is out of range: the network has {classes} classes, 0 to {}",
                    raw.place(idx),
                    classes.saturating_sub(1)
                )
            })
        };
        Ok(Truths::Classes(labels.iter().enumerate().map(check).collect::<Result<_, _>>()?))
    }

    /// The classes of places.
    fn maps(&self, targets: &Labels, raw: &Raw) -> Result<Truths, String> {
        let (output, shape) = self.places();
        let classes = self.output.1.c.max(2);
        let places = shape.len();
        if classes > usize::from(Truth::IGNORED) {
            return Err(format!(
                "has label maps, which tell at most 255 classes apart, not {classes}"
            ));
        }
        let ignored = i64::from(Truth::IGNORED);
        let label = |(at, label): (usize, i64)| {
            let known = usize::try_from(label).ok().filter(|&x| x < classes || label == ignored);
            known.and_then(|label| u8::try_from(label).ok()).ok_or_else(|| {
                format!(
                    "label {label} of a place of {} is out of range: the network has {classes} classes, 0 to {}, \
                     and 255 stands for places that do not count{}",
                    raw.place(at / places),
                    classes - 1,
                    if classes == 2 { "; if they are values, add `--metric psnr` or `mae`" } else { "" }
                )
            })
        };
        let labels: Result<Vec<u8>, String> =
            targets.values.integers().enumerate().map(label).collect();
        Ok(Truths::Maps { places, labels: inside(&output, shape, &labels?) })
    }

    /// What the output should be.
    fn values(&self, targets: &Labels, raw: &Raw) -> Result<Truths, String> {
        let (output, shape) = &self.output;
        let values: Vec<f32> = targets.values.floats();
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            let place = raw.place(at / shape.len());
            return Err(format!("the label of {place} has the value {}", values[at]));
        }
        Ok(Truths::Values { len: shape.len(), values: inside(output, *shape, &values) })
    }

    /// The largest value that there can be.
    fn peak(&self, targets: &Labels) -> Result<f64, String> {
        let is_unit = |values: &[f32]| values.iter().all(|x| (0.0..=1.0).contains(x));
        match (&targets.values, self.peak) {
            (_, Some(peak)) => Ok(peak),
            (Values::U8(_), None) => Ok(255.0),
            (Values::F32(values), None) if is_unit(values) => Ok(1.0),
            _ => Err("has labels that are neither bytes nor floats from 0 to 1: --peak states the largest value \
                      that there can be, for the metric psnr"
                .to_owned()),
        }
    }
}

/// What labels a metric needs.
pub(super) fn needed(metric: MetricName) -> &'static str {
    match metric {
        MetricName::Top1 | MetricName::Top5 => "one class number per image",
        MetricName::Auc => "0 or 1 for each image",
        MetricName::Miou => {
            "integers for the places of the first output: its shape without the classes"
        }
        MetricName::Mae | MetricName::Psnr => "values of the shape of the first output",
        MetricName::Sqnr => "none",
    }
}

/// Images in the order of the file, in that of the network.
fn inside<T: Copy + Default>(output: &Output, shape: Shape, values: &[T]) -> Vec<T> {
    let places = output.places(shape);
    let mut all = vec![T::default(); values.len()];
    for (to, from) in all.chunks_exact_mut(shape.len()).zip(values.chunks_exact(shape.len())) {
        places.iter().zip(from).for_each(|(&place, &x)| to[place] = x);
    }
    all
}
