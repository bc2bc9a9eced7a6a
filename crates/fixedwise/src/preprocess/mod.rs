//! What a pixel means to the network: `text.rs` and `toml.rs` are how that is written, `inputs.rs` is which of a
//! network's inputs it is for.

mod inputs;
mod text;
mod toml;

use crate::error::DataError;
use fixedwise_fixed::convert::f64_to_f32;
use serde::{Deserialize, Serialize};

/// Where the channels of stored images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[image, row, column, channel]`.
    Nhwc,
    /// `[image, channel, row, column]`.
    Nchw,
}

/// The declared preprocessing: the network is fed `(pixel * scale - mean) / std`.
///
/// It is folded into the network, so that the device takes raw pixels.
///
/// ```
/// # fn main() -> Result<(), fixedwise::DataError> {
/// use fixedwise::Preprocess;
///
/// let preprocess: Preprocess = "scale=1/255,mean=0.49;0.48;0.45,std=0.25,resize=96x96".parse()?;
/// assert_eq!(preprocess.mean, [0.49, 0.48, 0.45]);
/// assert_eq!(preprocess.resize, Some([96, 96]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Preprocess {
    /// Factor of a pixel; by default 1/255 for 8-bit pixels and 1 for others.
    pub scale: Option<f64>,
    /// Taken away after scaling: nothing, one number, or one a channel.
    pub mean: Vec<f64>,
    /// Divided by at the end: nothing, one number, or one a channel.
    pub std: Vec<f64>,
    /// Rows and columns images are resized to before anything else.
    pub resize: Option<[usize; 2]>,
    /// Where the channels of stored arrays are; inferred from the network's input where absent.
    /// Image, CIFAR and MATLAB files say it themselves.
    pub layout: Option<Layout>,
    /// What single inputs of a network with several are fed, by name.
    pub inputs: Vec<(String, Self)>,
}

/// Who declared what the network is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclaredBy {
    /// Nobody: 8-bit pixels are divided by 255, others stay as they are.
    #[default]
    Default,
    /// The caller: `--preprocess`.
    Option,
    /// The TOML file beside the model.
    ModelToml,
    /// The model itself, which takes 8-bit integers.
    Model,
    /// The plan, or the result of an earlier run.
    Plan,
}

/// The scale of 8-bit pixels where nobody declares one.
const SCALE_OF_BYTES: f64 = 1.0 / 255.0;

/// How far numbers may lie apart that mean the same: they are written with few digits, and no format tells
/// them apart.
const SAME: f64 = 1e-5;

fn wrong(text: &str, problem: impl Into<String>) -> DataError {
    DataError::Preprocess { text: text.to_owned(), problem: problem.into() }
}

impl Preprocess {
    fn check(&self) -> Result<(), String> {
        if !self.scale.iter().chain(&self.mean).chain(&self.std).all(|x| x.is_finite()) {
            return Err("scale, mean and std must be finite".to_owned());
        }
        if let Some(std) = self.std.iter().find(|&&std| std <= 0.0) {
            return Err(format!("std is {std}, but pixels are divided by it: it must be positive"));
        }
        if self.scale == Some(0.0) {
            return Err("scale must not be 0".to_owned());
        }
        if self.resize.is_some_and(|[h, w]| h == 0 || w == 0 || h > 1 << 14 || w > 1 << 14) {
            return Err("resize must be between 1x1 and 16384x16384".to_owned());
        }
        Ok(())
    }

    /// The scale and shift of each channel, for pixels that are 8-bit integers or not.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] where a list has not one number for each channel, or the numbers
    /// are beyond those of 32 bits.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::DataError> {
    /// let preprocess: fixedwise::Preprocess = "scale=1/255,mean=0.5,std=0.25".parse()?;
    /// assert_eq!(preprocess.affine(2, true)?, (vec![4.0 / 255.0; 2], vec![-2.0; 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn affine(&self, channels: usize, is_u8: bool) -> Result<(Vec<f64>, Vec<f64>), DataError> {
        let spread = |name: &str, list: &[f64], default: f64| match list {
            [] => Ok(vec![default; channels]),
            [x] => Ok(vec![*x; channels]),
            list if list.len() == channels => Ok(list.to_vec()),
            list => Err(wrong(
                &self.text(is_u8),
                format!("{name} has {} numbers for {channels} channels", list.len()),
            )),
        };
        let scale = self.scale(is_u8);
        let mean = spread("mean", &self.mean, 0.0)?;
        let std = spread("std", &self.std, 1.0)?;
        let factor: Vec<f64> = std.iter().map(|std| scale / std).collect();
        let shift: Vec<f64> = mean.iter().zip(&std).map(|(mean, std)| -mean / std).collect();
        let is_usable = factor.iter().all(|&x| f64_to_f32(x).is_normal())
            && shift.iter().all(|&x| f64_to_f32(x).is_finite());
        if !is_usable {
            let problem = "its numbers are too small or too large for 32-bit floats";
            return Err(wrong(&self.text(is_u8), problem));
        }
        Ok((factor, shift))
    }

    fn scale(&self, is_u8: bool) -> f64 {
        self.scale.unwrap_or(if is_u8 { SCALE_OF_BYTES } else { 1.0 })
    }

    /// The same with the scale that nobody declared.
    pub(crate) fn resolved(&self, is_u8: bool) -> Self {
        Self { scale: Some(self.scale(is_u8)), ..self.clone() }
    }

    /// Whether it says what becomes of a pixel, and not only how images are stored.
    pub(crate) fn has_numbers(&self) -> bool {
        self.scale.is_some() || !self.mean.is_empty() || !self.std.is_empty()
    }

    /// Whether pixels stay as they are.
    pub(crate) fn is_identity(&self) -> bool {
        let all = |list: &[f64], value: f64| list.iter().all(|x| (x - value).abs() <= SAME);
        self.scale.is_none_or(|scale| (scale - 1.0).abs() <= SAME)
            && all(&self.mean, 0.0)
            && all(&self.std, 1.0)
    }

    /// Whether both feed the network the same. A scale that only one of them declares is the other's, if
    /// that is the default of some pixels.
    ///
    /// # Errors
    /// Where a list has not one number for each channel.
    pub(crate) fn feeds_the_same(&self, other: &Self, channels: usize) -> Result<bool, DataError> {
        let default = |scale: &f64| [SCALE_OF_BYTES, 1.0].contains(scale);
        let [a, b] = [(self, other), (other, self)].map(|(own, other)| Self {
            scale: own.scale.or(other.scale.filter(default)),
            ..own.clone()
        });
        if a.scale.is_some() != b.scale.is_some() {
            return Ok(false);
        }
        let (a, b) = (a.affine(channels, true)?, b.affine(channels, true)?);
        let is_near = |a: &[f64], b: &[f64], least: f64| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME * a.abs().max(least))
        };
        Ok(is_near(&a.0, &b.0, 0.0) && is_near(&a.1, &b.1, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let line: Preprocess =
            "scale=1/255,mean=0.49;0.48;0.45,std=0.25,resize=96x64,layout=nchw".parse().unwrap();
        let file = "scale = \"1/255\"\nmean = [0.49, 0.48, 0.45]\nstd = 0.25\nresize = [96, 64]\n\
                    layout = \"nchw\"";
        assert_eq!(Preprocess::from_toml("m.toml", file).unwrap(), line);
        let (scale, shift) = line.affine(3, true).unwrap();
        assert_eq!(scale, [4.0 / 255.0; 3]);
        assert_eq!(shift, [-1.96, -1.92, -1.8]);
        assert!(line.affine(2, true).is_err());
    }

    #[test]
    fn pixels_have_a_default_scale_by_their_type() {
        let default = Preprocess::default();
        assert_eq!(default.affine(1, true).unwrap(), (vec![1.0 / 255.0], vec![0.0]));
        assert_eq!(default.affine(1, false).unwrap(), (vec![1.0], vec![0.0]));
    }

    #[test]
    fn an_affine_that_cannot_be_is_refused() {
        let cases = [
            ("mean=1;2", "mean has 2 numbers for 3 channels"),
            ("std=1;2;3;4", "std has 4 numbers for 3 channels"),
            ("scale=1e60", "too small or too large"),
            ("scale=1e-60", "too small or too large"),
            ("mean=1e30,std=1e-30", "too small or too large"),
        ];
        for (text, problem) in cases {
            let error = text.parse::<Preprocess>().unwrap().affine(3, true).unwrap_err();
            assert!(error.to_string().contains(problem), "expected {problem:?}, got: {error}");
        }
    }

    #[test]
    fn what_feeds_the_same_is_known_however_it_is_written() {
        let same = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| text.parse::<Preprocess>().unwrap());
            let found = a.feeds_the_same(&b, 3).unwrap();
            assert_eq!(b.feeds_the_same(&a, 3).unwrap(), found);
            found
        };
        for (a, b) in [
            ("scale=1/255", "scale=0.00392157"),
            ("scale=1/255,mean=0.5,std=0.25", "scale=4/255,mean=2"),
            ("mean=0.5;0.5;0.5", "scale=1/255,mean=0.5,resize=9x9"),
            ("mean=0.5", "scale=1,mean=0.5,layout=nchw"),
            ("none", "scale=1,mean=0,std=1"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("scale=1/255", "scale=1/256"),
            ("scale=1/255", "none"),
            ("scale=1/255", "scale=1/255,mean=0.001"),
            ("mean=0.5", "scale=0.5,mean=0.5"),
            ("scale=1/255,std=0.25;0.25;0.26", "scale=1/255,std=0.25"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        let two: Preprocess = "mean=1;2".parse().unwrap();
        assert!(two.feeds_the_same(&two, 3).is_err());
    }
}
