//! What a pixel means to the network.

use crate::error::DataError;
use fixedwise_fixed::convert::f64_to_f32;
use serde::Deserialize;
use std::{path::Path, str::FromStr};

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
}

/// Pixels as they are: what stands in place of numbers.
const NONE: &str = "none";

const KEYS: [&str; 5] = ["scale", "mean", "std", "resize", "layout"];

fn wrong(text: &str, problem: impl Into<String>) -> DataError {
    DataError::Preprocess { text: text.to_owned(), problem: problem.into() }
}

/// `1/255` or `0.5`.
fn number(text: &str) -> Result<f64, String> {
    let parse = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
    let value = match text.split_once('/') {
        Some((a, b)) => parse(a).zip(parse(b)).map(|(a, b)| a / b),
        None => parse(text),
    };
    value.filter(|x| x.is_finite()).ok_or_else(|| format!("`{text}` is not a number"))
}

/// What is wrong with a key that does not exist.
fn unknown(key: &str) -> String {
    let near = KEYS.into_iter().map(|known| (distance(key, known), known)).min();
    match near {
        Some((1..=2, known)) => format!("`{key}` is unknown; did you mean `{known}`?"),
        _ => format!("`{key}` is unknown; known: {}", KEYS.join(", ")),
    }
}

/// How many characters must be put in, left out or replaced to come from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for a in a.chars() {
        let mut above_left = row[0];
        row[0] += 1;
        for (j, b) in b.chars().enumerate() {
            let replaced = above_left + usize::from(a != b);
            above_left = row[j + 1];
            row[j + 1] = replaced.min(above_left + 1).min(row[j] + 1);
        }
    }
    row.pop().expect("there is one more element than characters")
}

fn layout(text: &str) -> Result<Layout, String> {
    match text.to_ascii_lowercase().as_str() {
        "nhwc" => Ok(Layout::Nhwc),
        "nchw" => Ok(Layout::Nchw),
        _ => Err(format!("layout `{text}` is neither nhwc nor nchw")),
    }
}

impl FromStr for Preprocess {
    type Err = DataError;

    /// `scale=1/255,mean=0.49;0.48;0.45,std=0.25,resize=96x96,layout=nchw`; `none` stands for `scale=1`.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let mut preprocess = Self::default();
        let mut seen = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (key, value) = match part.split_once('=') {
                Some(pair) => pair,
                None if part.trim() == NONE => ("scale", "1"),
                None => return Err(wrong(text, format!("`{part}` is not KEY=VALUE"))),
            };
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(wrong(text, format!("`{key}` is given twice")));
            }
            seen.push(key);
            let list = || value.split(';').map(number).collect::<Result<Vec<f64>, String>>();
            let set = match key {
                "scale" => number(value).map(|x| preprocess.scale = Some(x)),
                "mean" => list().map(|x| preprocess.mean = x),
                "std" => list().map(|x| preprocess.std = x),
                "layout" => layout(value).map(|x| preprocess.layout = Some(x)),
                "resize" => {
                    let pair = value.split_once(['x', 'X']).and_then(|(h, w)| {
                        h.trim().parse::<usize>().ok().zip(w.trim().parse::<usize>().ok())
                    });
                    preprocess.resize = pair.map(|(h, w)| [h, w]);
                    pair.map(|_| ()).ok_or(format!("resize `{value}` is not ROWSxCOLUMNS"))
                }
                key => Err(unknown(key)),
            };
            set.map_err(|problem| wrong(text, problem))?;
        }
        preprocess.check().map_err(|problem| wrong(text, problem))?;
        Ok(preprocess)
    }
}

/// A number, or a text such as `1/255`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, or a string such as \"1/255\"")]
enum Number {
    Value(f64),
    Text(String),
}

impl Number {
    fn value(&self) -> Result<f64, String> {
        match self {
            Self::Value(x) => Ok(*x),
            Self::Text(text) => number(text),
        }
    }
}

/// One number, or one a channel.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, a string such as \"1/255\", or a list of these")]
enum Numbers {
    One(Number),
    Many(Vec<Number>),
}

impl Numbers {
    fn values(&self) -> Result<Vec<f64>, String> {
        match self {
            Self::One(x) => Ok(vec![x.value()?]),
            Self::Many(x) => x.iter().map(Number::value).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scale: Option<Number>,
    mean: Option<Numbers>,
    std: Option<Numbers>,
    resize: Option<[usize; 2]>,
    layout: Option<String>,
}

impl Preprocess {
    /// Reads the TOML form; `name` is how messages call it.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] naming the file.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::DataError> {
    /// use fixedwise::Preprocess;
    ///
    /// let text = "scale = \"1/255\"\nmean = [0.49, 0.48, 0.45]\nresize = [96, 96]";
    /// let same: Preprocess = "scale=1/255,mean=0.49;0.48;0.45,resize=96x96".parse()?;
    /// assert_eq!(Preprocess::from_toml("model.toml", text)?, same);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_toml(name: &str, text: &str) -> Result<Self, DataError> {
        let read = || {
            let file: File = toml::from_str(text).map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
                let line = 1 + before.matches('\n').count();
                format!("line {line}: {}", error.message().replace('\n', " "))
            })?;
            let preprocess = Self {
                scale: file.scale.map(|x| x.value()).transpose()?,
                mean: file.mean.map_or(Ok(Vec::new()), |x| x.values())?,
                std: file.std.map_or(Ok(Vec::new()), |x| x.values())?,
                resize: file.resize,
                layout: file.layout.map(|text| layout(&text)).transpose()?,
            };
            preprocess.check()?;
            Ok(preprocess)
        };
        read().map_err(|problem: String| wrong(name, problem))
    }

    /// What stands beside a model, `MODEL.toml` beside `MODEL.onnx`; nothing where there is none.
    ///
    /// # Errors
    /// [`DataError`] for a file that cannot be read.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::DataError> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// let model = format!("{root}/models/fashion_small.onnx");
    /// let beside = fixedwise::Preprocess::beside(model.as_ref())?;
    /// assert_eq!(beside.and_then(|preprocess| preprocess.scale), Some(1.0 / 255.0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn beside(model: &Path) -> Result<Option<Self>, DataError> {
        let path = model.with_extension("toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::from_toml(&path.display().to_string(), &text).map(Some),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataError::Read { path, source }),
        }
    }

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
        self.scale.unwrap_or(if is_u8 { 1.0 / 255.0 } else { 1.0 })
    }

    /// Everything that is declared about pixels, the scale's default included.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::DataError> {
    /// let preprocess: fixedwise::Preprocess = "mean=0.5;0.25".parse()?;
    /// assert_eq!(preprocess.text(true), "scale=1/255,mean=0.5;0.25");
    /// # Ok(())
    /// # }
    /// ```
    pub fn text(&self, is_u8: bool) -> String {
        let list = |x: &[f64]| x.iter().map(f64::to_string).collect::<Vec<_>>().join(";");
        let scale = self.scale(is_u8);
        let mut parts = vec![if (scale - 1.0 / 255.0).abs() < 1e-15 {
            "scale=1/255".to_owned()
        } else {
            format!("scale={scale}")
        }];
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            if !values.is_empty() {
                parts.push(format!("{name}={}", list(values)));
            }
        }
        parts.extend(self.resize.map(|[h, w]| format!("resize={h}x{w}")));
        parts.join(",")
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
    fn what_is_no_preprocessing_is_refused() {
        let cases = [
            ("scale", "`scale` is not KEY=VALUE"),
            ("skale=2", "`skale` is unknown; did you mean `scale`?"),
            ("means=2", "`means` is unknown; did you mean `mean`?"),
            ("crop=2", "`crop` is unknown; known: scale, mean, std, resize, layout"),
            ("scale=1,mean=0,scale=2", "`scale` is given twice"),
            ("scale=0", "scale must not be 0"),
            ("scale=", "`` is not a number"),
            ("scale=1/0", "`1/0` is not a number"),
            ("scale=inf", "`inf` is not a number"),
            ("scale=1e300/1e-300", "is not a number"),
            ("mean=0.5;", "`` is not a number"),
            ("std=1;0", "std is 0, but pixels are divided by it"),
            ("std=-1", "std is -1"),
            ("resize=96", "resize `96` is not ROWSxCOLUMNS"),
            ("resize=0x9", "resize must be between"),
            ("resize=9x99999", "resize must be between"),
            ("layout=chw", "neither nhwc nor nchw"),
        ];
        for (text, problem) in cases {
            let error = text.parse::<Preprocess>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("preprocessing `{text}`: ")), "{error}");
            assert!(error.contains(problem), "expected {problem:?}, got: {error}");
        }
    }

    #[test]
    fn what_is_no_file_of_preprocessing_is_refused_in_one_line() {
        let cases = [
            ("\nscle = 1", "line 2: unknown field `scle`, expected one of `scale`"),
            ("scale = 1\nscale = 2", "line 2: duplicate key"),
            ("scale = true", "line 1: expected a number, or a string such as \"1/255\""),
            ("mean = [true]", "line 1: expected a number, a string such as \"1/255\", or a list"),
            ("scale = \"one\"", "`one` is not a number"),
            ("scale = nan", "must be finite"),
            ("mean = [0, inf]", "must be finite"),
            ("std = [1, 0]", "std is 0"),
            ("resize = [96]", "line 1: "),
            ("resize = [0, 96]", "resize must be between"),
            ("layout = \"chw\"", "neither nhwc nor nchw"),
        ];
        for (text, problem) in cases {
            let error = Preprocess::from_toml("m.toml", text).unwrap_err().to_string();
            assert!(error.starts_with("preprocessing `m.toml`: "), "{error}");
            assert!(error.contains(problem) && error.lines().count() == 1, "{problem:?}: {error}");
        }
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
    fn a_file_beside_the_model_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("net.v2.onnx");
        assert_eq!(Preprocess::beside(&model).unwrap(), None);
        std::fs::write(folder.path().join("net.v2.toml"), "scale = 1").unwrap();
        let found = Preprocess::beside(&model).unwrap().unwrap();
        assert_eq!(found, Preprocess { scale: Some(1.0), ..Preprocess::default() });
        std::fs::write(folder.path().join("net.v2.toml"), "scale: 1").unwrap();
        let error = Preprocess::beside(&model).unwrap_err().to_string();
        assert!(error.contains("net.v2.toml") && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn distances_count_the_slips() {
        for (a, b, expected) in
            [("", "", 0), ("std", "std", 0), ("", "ab", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }
}
