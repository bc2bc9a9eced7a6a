//! Preprocessing as a line of text: `scale=1/255,mean=0.49;0.48;0.45,std=0.25,resize=96x96,layout=nchw`.

use super::{Layout, Preprocess, wrong};
use crate::{error::DataError, names::distance};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Pixels as they are: what stands in place of numbers.
const NONE: &str = "none";

const KEYS: [&str; 5] = ["scale", "mean", "std", "resize", "layout"];

/// `1/255` or `0.5`.
pub(super) fn number(text: &str) -> Result<f64, String> {
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

pub(super) fn layout(text: &str) -> Result<Layout, String> {
    match text.to_ascii_lowercase().as_str() {
        "nhwc" => Ok(Layout::Nhwc),
        "nchw" => Ok(Layout::Nchw),
        _ => Err(format!("layout `{text}` is neither nhwc nor nchw")),
    }
}

impl FromStr for Preprocess {
    type Err = DataError;

    /// `scale=1/255,mean=0.49;0.48;0.45,std=0.25,resize=96x96,layout=nchw`; `none` stands for `scale=1`. Keys behind
    /// `NAME:` are of the input of that name: `image:scale=1/255,mean=0.5,pose:none`.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let mut all = vec![(None, Part::default())];
        let mut current = 0;
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (part, None),
            };
            let key = match key.rsplit_once(':') {
                Some((name, key)) => {
                    let name = Some(name.trim().to_owned());
                    current = all.iter().position(|(own, _)| *own == name).unwrap_or(all.len());
                    if current == all.len() {
                        all.push((name, Part::default()));
                    }
                    key
                }
                None => key,
            };
            all[current].1.set(key.trim(), value, part).map_err(|problem| wrong(text, problem))?;
        }
        let mut read = all
            .into_iter()
            .map(|(name, part)| Ok((name, part.finish().map_err(|problem| wrong(text, problem))?)));
        let (_, common) = read.next().expect("what has no name comes first")?;
        let inputs = read.map(|of| of.map(|(name, own)| (name.unwrap_or_default(), own)));
        Ok(Self { inputs: inputs.collect::<Result<_, DataError>>()?, ..common })
    }
}

/// What is said of one input.
#[derive(Default)]
struct Part<'a> {
    preprocess: Preprocess,
    seen: Vec<&'a str>,
    is_none: bool,
}

impl<'a> Part<'a> {
    /// Takes one key in; `part` is the text it stands in.
    fn set(&mut self, key: &'a str, value: Option<&str>, part: &str) -> Result<(), String> {
        let (key, value) = match value {
            Some(value) => (key, value.trim()),
            None if key == NONE => {
                self.is_none = true;
                ("scale", "1")
            }
            None => return Err(format!("`{part}` is not KEY=VALUE")),
        };
        if self.seen.contains(&key) {
            return Err(format!("`{key}` is given twice"));
        }
        self.seen.push(key);
        let preprocess = &mut self.preprocess;
        let list = || value.split(';').map(number).collect::<Result<Vec<f64>, String>>();
        match key {
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
        }
    }

    fn finish(self) -> Result<Preprocess, String> {
        let Self { preprocess, is_none, .. } = self;
        if is_none && !(preprocess.mean.is_empty() && preprocess.std.is_empty()) {
            return Err("`none` leaves pixels as they are; remove it, or mean and std".to_owned());
        }
        preprocess.check()?;
        Ok(preprocess)
    }
}

impl Preprocess {
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
        Self { layout: None, ..self.resolved(is_u8) }.to_string()
    }

    /// What becomes of a pixel, for people: `(pixels / 255 - 0.286) / 0.353`.
    pub(crate) fn formula(&self) -> String {
        if !self.inputs.is_empty() {
            let of = |(name, own): &(String, Self)| format!("{name}: {}", own.formula());
            return self.inputs.iter().map(of).collect::<Vec<_>>().join("; ");
        }
        let list = |x: &[f64]| match x {
            [x] => written(*x),
            list => {
                format!("[{}]", list.iter().map(|&x| written(x)).collect::<Vec<_>>().join(", "))
            }
        };
        let is_all = |x: &[f64], value: f64| x.iter().all(|x| (x - value).abs() < f64::EPSILON);
        let scale = self.scale.map(written).unwrap_or_default();
        let mut text = match scale.strip_prefix("1/") {
            Some(divisor) => format!("pixels / {divisor}"),
            None if ["", "1"].contains(&scale.as_str()) => "pixels".to_owned(),
            None => format!("pixels * {scale}"),
        };
        if !is_all(&self.mean, 0.0) {
            text = format!("{text} - {}", list(&self.mean));
        }
        if !is_all(&self.std, 1.0) {
            let inside = if text.contains(' ') { format!("({text})") } else { text };
            text = format!("{inside} / {}", list(&self.std));
        }
        let text = if text == "pixels" { "pixels as they are".to_owned() } else { text };
        let resized = self.resize.map(|[h, w]| format!(", resized to {h}x{w}"));
        text + &resized.unwrap_or_default()
    }
}

/// Every key that is declared, so that reading it gives the same numbers, bit for bit.
impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> =
            self.scale.iter().map(|&scale| format!("scale={}", written(scale))).collect();
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            if !values.is_empty() {
                let values: Vec<String> = values.iter().map(|&x| written(x)).collect();
                parts.push(format!("{name}={}", values.join(";")));
            }
        }
        parts.extend(self.resize.map(|[h, w]| format!("resize={h}x{w}")));
        parts.extend(self.layout.map(|layout| match layout {
            Layout::Nhwc => "layout=nhwc".to_owned(),
            Layout::Nchw => "layout=nchw".to_owned(),
        }));
        // What divides the text stands in no name.
        let plain = |name: &str| name.replace([',', '=', '"', '\\'], "_");
        let inputs = self.inputs.iter().map(|(name, own)| (plain(name), own.to_string()));
        let named = inputs.filter(|(_, own)| !own.is_empty());
        parts.extend(named.map(|(name, own)| format!("{name}:{own}")));
        f.write_str(&parts.join(","))
    }
}

/// A number that is read back exactly: `0.5`, `1/255` where that is shorter, `1e-9`.
fn written(x: f64) -> String {
    /// Digits that are easily read.
    const SHORT: usize = 8;
    if x < 0.0 {
        return format!("-{}", written(-x));
    }
    let (plain, inverse) = (x.to_string(), x.recip());
    let fraction = format!("1/{inverse}");
    if plain.len() > SHORT && fraction.len() <= SHORT && number(&fraction) == Ok(x) {
        return fraction;
    }
    let power = format!("{x:e}");
    if plain.len() > power.len() + SHORT / 2 { power } else { plain }
}

impl Serialize for Preprocess {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Preprocess {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_preprocessing_is_refused() {
        let cases = [
            ("scale", "`scale` is not KEY=VALUE"),
            ("skale=2", "`skale` is unknown; did you mean `scale`?"),
            ("means=2", "`means` is unknown; did you mean `mean`?"),
            ("crop=2", "`crop` is unknown; known: scale, mean, std, resize, layout"),
            ("scale=1,mean=0,scale=2", "`scale` is given twice"),
            ("none,scale=1/255", "`scale` is given twice"),
            ("none,mean=0.5", "`none` leaves pixels as they are"),
            ("nome", "`nome` is not KEY=VALUE"),
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
    fn what_is_written_is_read_back_bit_for_bit() {
        let exact = |preprocess: &Preprocess| {
            let text = preprocess.to_string();
            let read: Preprocess = text.parse().unwrap();
            let bits = |p: &Preprocess| {
                let all = p.scale.iter().chain(&p.mean).chain(&p.std);
                all.map(|x| x.to_bits()).collect::<Vec<u64>>()
            };
            assert_eq!(bits(&read), bits(preprocess), "{text}");
            assert_eq!(&read, preprocess, "{text}");
        };
        for text in [
            "",
            "scale=1/255",
            "scale=1/127.5,mean=1",
            "scale=0.0078125",
            "scale=1e-30,mean=-1e25;3;0.1,std=1e-9",
            "scale=1/255,mean=0.485;0.456;0.406,std=0.229;0.224;0.225,resize=96x64,layout=nchw",
        ] {
            let preprocess: Preprocess = text.parse().unwrap();
            exact(&preprocess);
            assert!(preprocess.to_string().len() <= text.len(), "{preprocess} for {text}");
        }
        let mut state = 0x1234_5678_9abc_def1_u64;
        for _ in 0..2000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let x = f64::from_bits(state);
            if x.is_normal() {
                exact(&Preprocess { scale: Some(x), mean: vec![x, -x], ..Preprocess::default() });
                let near = 1.0 / f64::from(u8::try_from(state & 127).unwrap() + 1);
                exact(&Preprocess { std: vec![near.next_up(), near], ..Preprocess::default() });
            }
        }
    }

    #[test]
    fn people_read_a_formula() {
        for (text, expected) in [
            ("", "pixels as they are"),
            ("none", "pixels as they are"),
            ("none,resize=9x9", "pixels as they are, resized to 9x9"),
            ("scale=1/255", "pixels / 255"),
            ("scale=0.5", "pixels * 0.5"),
            ("scale=1/255,mean=0.286,std=0.353", "(pixels / 255 - 0.286) / 0.353"),
            ("scale=1,mean=127;128", "pixels - [127, 128]"),
            ("scale=1,std=2", "pixels / 2"),
        ] {
            let preprocess: Preprocess = text.parse().unwrap();
            assert_eq!(preprocess.formula(), expected, "{text}");
        }
        let none: Preprocess = " none , resize=96x64".parse().unwrap();
        assert_eq!((none.scale, none.resize), (Some(1.0), Some([96, 64])));
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
