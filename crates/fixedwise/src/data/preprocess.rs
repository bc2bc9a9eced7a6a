//! What a pixel means to the network.

use super::DataError;
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
    /// Where the channels of stored images are; inferred from the network's input where absent.
    pub layout: Option<Layout>,
}

const KEYS: &str = "scale, mean, std, resize and layout";

fn wrong(text: &str, problem: impl Into<String>) -> DataError {
    DataError::Preprocess { text: text.to_owned(), problem: problem.into() }
}

/// `1/255` or `0.5`.
fn number(text: &str) -> Result<f64, String> {
    let parse = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
    let value = match text.split_once('/') {
        Some((a, b)) => parse(a).zip(parse(b).filter(|&b| b != 0.0)).map(|(a, b)| a / b),
        None => parse(text),
    };
    value.ok_or_else(|| format!("`{text}` is no number"))
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

    /// `scale=1/255,mean=0.49;0.48;0.45,std=0.25,resize=96x96,layout=nchw`
    fn from_str(text: &str) -> Result<Self, DataError> {
        let mut preprocess = Self::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(wrong(text, format!("`{part}` is not KEY=VALUE")));
            };
            let value = value.trim();
            let list = || value.split(';').map(number).collect::<Result<Vec<f64>, String>>();
            let set = match key.trim() {
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
                key => Err(format!("`{key}` is not known; known are {KEYS}")),
            };
            set.map_err(|problem| wrong(text, problem))?;
        }
        preprocess.check().map_err(|problem| wrong(text, problem))?;
        Ok(preprocess)
    }
}

/// A number, or a text such as `1/255`.
#[derive(Deserialize)]
#[serde(untagged)]
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
#[serde(untagged)]
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
    /// Reads the TOML form.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] naming the file.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, DataError> {
        let read = || {
            let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
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
    pub fn beside(model: &Path) -> Result<Option<Self>, DataError> {
        let path = model.with_extension("toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::from_toml(&path.display().to_string(), &text).map(Some),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataError::Read { path, source }),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.std.contains(&0.0) {
            return Err("std 0 divides by zero".to_owned());
        }
        if self.scale == Some(0.0) {
            return Err("scale 0 leaves nothing of the image".to_owned());
        }
        if self.resize.is_some_and(|[h, w]| h == 0 || w == 0 || h > 1 << 14 || w > 1 << 14) {
            return Err("resize must be between 1x1 and 16384x16384".to_owned());
        }
        Ok(())
    }

    /// The scale and shift of each channel, for pixels that are 8-bit integers or not.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] where a list has not one number for each channel.
    pub fn affine(&self, channels: usize, is_u8: bool) -> Result<(Vec<f32>, Vec<f32>), DataError> {
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
        Ok((
            std.iter().map(|std| f64_to_f32(scale / std)).collect(),
            mean.iter().zip(&std).map(|(mean, std)| f64_to_f32(-mean / std)).collect(),
        ))
    }

    fn scale(&self, is_u8: bool) -> f64 {
        self.scale.unwrap_or(if is_u8 { 1.0 / 255.0 } else { 1.0 })
    }

    /// Everything that is declared, the scale's default included.
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
            ("skale=2", "`skale` is not known; known are scale, mean, std, resize and layout"),
            ("scale=1/0", "`1/0` is no number"),
            ("std=1;0", "std 0 divides by zero"),
            ("resize=96", "resize `96` is not ROWSxCOLUMNS"),
            ("resize=0x9", "resize must be between"),
            ("layout=chw", "neither nhwc nor nchw"),
        ];
        for (text, problem) in cases {
            let error = text.parse::<Preprocess>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        let error = Preprocess::from_toml("m.toml", "scle = 1").unwrap_err().to_string();
        assert!(error.contains("m.toml") && error.contains("scle"), "{error}");
    }
}
