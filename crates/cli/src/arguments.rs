//! Arguments that several commands share, and values with units.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use fixedwise::{
    ClassBound, Clock, DataOptions, Direction, InputShape, Interface, Layout, MaxLoss, MetricName,
    Preprocess, Quantizer, Semantics, Tune, Unit,
};
use std::{ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

/// The network.
#[derive(Args, Debug)]
pub(crate) struct ModelArguments {
    /// The trained network: an ONNX file, an .h5 or .keras file from Keras, or a .tflite file.
    pub(crate) model: PathBuf,
    /// The architecture for an .h5 file that contains only weights: the .json that Keras writes, or an
    /// ONNX file whose nodes have the names of the layers.
    #[arg(long, value_name = "FILE")]
    pub(crate) architecture: Option<PathBuf>,
    /// The extents of the input, for a file that leaves image sizes open: in the file's order, the batch
    /// first, e.g. `1x3x224x224`; `NAME=1x3x224x224` where several inputs are open.
    #[arg(long = "input-shape", value_name = "SHAPE")]
    pub(crate) input_shapes: Vec<InputShape>,
    /// The outputs of the network, by name and in this order: values that a node of the ONNX file computes,
    /// or Keras layers; only what leads to them is read. Default: the outputs of the file, or of the plan
    /// that is given.
    #[arg(long = "output", value_name = "NAME", value_delimiter = ',')]
    pub(crate) outputs: Vec<String>,
}

impl ModelArguments {
    /// What is said of its inputs and outputs beside its file.
    pub(crate) fn interface(&self) -> Interface {
        Interface { input_shapes: self.input_shapes.clone(), outputs: self.outputs.clone() }
    }
}

/// Where images come from and how they become the network's input.
#[derive(Args, Debug)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArguments {
    /// Preprocessing of the pixels, e.g. `scale=1/255,mean=0.49;0.48;0.45,std=0.25,resize=96x96`, `none`
    /// (pixels stay as they are), or a TOML file.
    ///
    /// The network is fed (pixel * scale - mean) / std. Keys: scale (a number or 1/255), mean and std (one
    /// number, or one per channel), resize (rows x columns), layout (nhwc or nchw); all are optional. In a
    /// TOML file: scale = "1/255", mean = [0.49, 0.48, 0.45], std = 0.25, resize = [96, 96], layout =
    /// "nchw". Of a network with several inputs, keys stand behind the name of theirs:
    /// `image:scale=1/255,mean=0.5,pose:none`. Default: as in the plan that is given; else the TOML file
    /// beside the model with the same name; else 8-bit pixels are divided by 255 and floats stay as they are
    /// (docs/preprocessing.md).
    #[arg(long, value_name = "LIST")]
    pub(crate) preprocess: Option<String>,
    /// Accuracy that the float network should have, for example 90%. If it has less, by more than the 95 %
    /// confidence interval explains, the preprocessing or the labels are wrong, and the command ends with an
    /// error before any search.
    #[arg(long, value_name = "PERCENT", value_parser = accuracy)]
    pub(crate) expect: Option<f64>,
    /// Axis order of arrays with several channels; default: detected from the model.
    #[arg(long, value_name = "ORDER")]
    pub(crate) layout: Option<LayoutName>,
    /// Number of threads; default: all of the machine.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LayoutName {
    /// Image, row, column, channel.
    Nhwc,
    /// Image, channel, row, column.
    Nchw,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SemanticsName {
    /// Integers only: the measured network is the deployed network.
    Integer,
    /// The fake quantization of the paper: weights, biases and layer outputs are rounded, everything else
    /// is float.
    Simulated,
}

impl From<SemanticsName> for Semantics {
    fn from(name: SemanticsName) -> Self {
        match name {
            SemanticsName::Integer => Self::Integer,
            SemanticsName::Simulated => Self::Simulated,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum QuantizerName {
    /// Rounds the values: all steps are equal.
    Uniform,
    /// Rounds the square roots: steps grow with the value; only with simulated semantics.
    SquareRoot,
}

impl From<QuantizerName> for Quantizer {
    fn from(name: QuantizerName) -> Self {
        match name {
            QuantizerName::Uniform => Self::Uniform,
            QuantizerName::SquareRoot => Self::SquareRoot,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DirectionName {
    /// From input to output.
    Forward,
    /// From output to input.
    #[value(alias = "backward")]
    Reverse,
}

impl From<DirectionName> for Direction {
    fn from(name: DirectionName) -> Self {
        match name {
            DirectionName::Forward => Self::Forward,
            DirectionName::Reverse => Self::Backward,
        }
    }
}

impl DataArguments {
    /// What a run is told about its images; the sources are the command's own.
    pub(crate) fn options(&self) -> Result<DataOptions> {
        let preprocess = self.preprocess.as_deref().map(preprocess).transpose()?;
        let layout = self.layout.map(|layout| match layout {
            LayoutName::Nhwc => Layout::Nhwc,
            LayoutName::Nchw => Layout::Nchw,
        });
        let expect = self.expect;
        Ok(DataOptions { preprocess, layout, expect, ..DataOptions::default() })
    }

    pub(crate) fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

/// A list of `KEY=VALUE`, `none`, or the name of a TOML file.
pub(crate) fn preprocess(text: &str) -> Result<Preprocess> {
    let is_none = |part: &str| part.trim() == "none" || part.trim().ends_with(":none");
    if text.contains('=') || text.split(',').any(is_none) {
        return Ok(text.parse()?);
    }
    let file = std::fs::read_to_string(text)
        .with_context(|| format!("cannot read the preprocessing file `{text}`"))?;
    Ok(Preprocess::from_toml(text, &file)?)
}

/// `90%`.
fn accuracy(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|digits| digits.trim().parse::<f64>().ok());
    let number = number.filter(|x| (0.0..=100.0).contains(x)).map(|x| x / 100.0);
    number.ok_or_else(|| "expected percent of all images, for example 90%".to_owned())
}

/// `30`: dB between signal and noise.
pub(crate) fn decibels(text: &str) -> Result<f64, String> {
    let db = text.strip_suffix("dB").unwrap_or(text).trim().parse::<f64>().ok();
    let db = db.filter(|db| (1.0..=90.0).contains(db));
    db.ok_or_else(|| "expected decibels from 1 to 90, for example 30".to_owned())
}

/// `1%` of the float accuracy, or `0.5pt`: percentage points.
pub(crate) fn max_loss(text: &str) -> Result<MaxLoss, String> {
    let number = |digits: &str| {
        let number = digits.trim().parse::<f64>().ok();
        number.filter(|x| (0.0..=100.0).contains(x)).map(|x| x / 100.0)
    };
    let parsed = if let Some(digits) = text.strip_suffix('%') {
        number(digits).map(MaxLoss::Relative)
    } else if let Some(digits) = text.strip_suffix("dB") {
        let limit = digits.trim().parse::<f64>().ok().filter(|x| (0.0..=100.0).contains(x));
        limit.map(|limit| MaxLoss::Metric { limit, unit: Unit::Decibels })
    } else {
        text.strip_suffix("pt").and_then(number).map(MaxLoss::Points)
    };
    parsed.ok_or_else(|| {
        "expected percent of what the float network reaches (1%), percentage points (0.5pt) or, of PSNR, \
         decibels (0.5dB)"
            .to_owned()
    })
}

/// The largest value that there can be.
pub(crate) fn peak(text: &str) -> Result<f64, String> {
    let peak = text.trim().parse::<f64>().ok().filter(|x| x.is_finite() && *x > 0.0);
    peak.ok_or_else(|| "expected a number above zero, for example 255".to_owned())
}

/// What counts.
#[derive(Args, Debug)]
pub(crate) struct MetricArguments {
    /// What counts, by the labels: top1, top5, miou, mae, psnr, auc, or sqnr without labels. Default: what goes
    /// with the labels.
    ///
    /// `top1` and `top5`: one class number per image. `miou`: mean intersection over union of label maps,
    /// integers of the first output's shape without its classes, 255 where there is no label. `mae` and `psnr`:
    /// mean absolute error and peak signal-to-noise ratio of values of the first output's shape. `auc`: area
    /// under the ROC curve of one score, with labels 0 and 1; of an autoencoder, of its squared error. `sqnr`: signal-to-quantization-noise ratio.
    /// Default: top1 for class numbers, miou for integers with the places of the output, psnr for images of
    /// values, mae for other values; agreement with the float network without labels.
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub(crate) metric: Option<MetricName>,
    /// Largest value that there can be, for psnr. Default: 255 for labels of bytes, 1 for floats from 0 to 1.
    #[arg(long, value_name = "VALUE", value_parser = peak, help_heading = "Data")]
    pub(crate) peak: Option<f64>,
}

/// `5%` of the recall that the class has in the float network, or `5pt`: percentage points.
pub(crate) fn class_loss(text: &str) -> Result<ClassBound, String> {
    match max_loss(text) {
        Ok(MaxLoss::Relative(limit)) => Ok(ClassBound { limit, unit: Unit::Relative }),
        Ok(MaxLoss::Points(limit)) => Ok(ClassBound { limit, unit: Unit::Points }),
        _ => Err("expected percent of the recall (5%) or percentage points (5pt)".to_owned()),
    }
}

/// `FROM..TO`, both included, or one number.
pub(crate) fn span<T: FromStr + Copy>(text: &str) -> Result<RangeInclusive<T>, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) => Ok(from..=to),
        _ => Err("expected FROM..TO (both included) or one number, for example 1..8".to_owned()),
    }
}

/// `90s`, `10m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let help = || "expected hours, minutes and seconds, for example 90s, 10m, 1h30m".to_owned();
    let mut seconds = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(help)?;
        let number: f64 = rest[..end].parse().map_err(|_| help())?;
        let unit = match rest.as_bytes()[end] {
            b'h' => 3600.0,
            b'm' => 60.0,
            b's' => 1.0,
            _ => return Err(help()),
        };
        seconds += number * unit;
        rest = &rest[end + 1..];
    }
    if seconds > 0.0 {
        Duration::try_from_secs_f64(seconds).map_err(|_| help())
    } else {
        Err(help())
    }
}

/// `none`, `auto`, a time or a number of steps.
pub(crate) fn tune(text: &str) -> Result<Tune, String> {
    let help = || {
        "expected none, auto, hours, minutes and seconds, for example 90s, 10m, 1h30m, or steps, \
         for example 4000steps"
            .to_owned()
    };
    match text.trim() {
        "none" => Ok(Tune::None),
        "auto" => Ok(Tune::Auto),
        long => match long.strip_suffix("steps").map(|steps| steps.trim().parse()) {
            Some(Ok(steps @ 1..)) => Ok(Tune::Steps(steps)),
            Some(_) => Err(help()),
            None => duration(long).map(Tune::For).map_err(|_| help()),
        },
    }
}

/// Bytes of this machine's memory: `768MiB`, `2G`, `500000`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let bytes = fixedwise::parse_bytes(text)?;
    usize::try_from(bytes).map_err(|_| format!("{text} is more than this machine addresses"))
}

/// The clock of a processor, for milliseconds.
#[derive(Args)]
pub(crate) struct ClockArguments {
    /// Also shows milliseconds at this clock of the processor, for example 80MHz.
    #[arg(long, value_name = "HZ")]
    clock: Option<Clock>,
    /// Cycles of an instruction in the mean, for the time: what a board of yours was measured to need.
    #[arg(long, value_name = "N", default_value_t = 1.0, requires = "clock")]
    #[arg(value_parser = cycles)]
    cycles_per_instruction: f64,
}

impl ClockArguments {
    /// The clock, if one is given.
    pub(crate) fn clock(&self) -> Option<Clock> {
        let cycles_per_instruction = self.cycles_per_instruction;
        self.clock.map(|clock| Clock { cycles_per_instruction, ..clock })
    }
}

fn cycles(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cycles) if cycles > 0.0 && cycles <= 1000.0 => Ok(cycles),
        _ => Err("expected a number above 0, at most 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_have_a_unit() {
        assert_eq!(max_loss("1%"), Ok(MaxLoss::Relative(0.01)));
        assert_eq!(max_loss("0.5pt"), Ok(MaxLoss::Points(0.005)));
        let decibels = MaxLoss::Metric { limit: 0.5, unit: Unit::Decibels };
        assert_eq!(max_loss("0.5dB"), Ok(decibels));
        for text in ["1", "", "%", "x%", "-1%", "101%", "nan%", "1 percent"] {
            assert!(max_loss(text).is_err(), "{text}");
        }
    }

    #[test]
    fn accuracies_are_percent() {
        assert_eq!(accuracy("90%"), Ok(0.9));
        assert_eq!(accuracy("91.5 %"), Ok(0.915));
        for text in ["90", "0.9", "", "%", "101%", "-1%", "nan%"] {
            assert!(accuracy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_include_both_ends() {
        assert_eq!(span("1..8"), Ok(1_u8..=8));
        assert_eq!(span("-2..10"), Ok(-2_i8..=10));
        assert_eq!(span("-3"), Ok(-3_i8..=-3));
        for text in ["", "..", "1..", "..8", "1...8", "1..=8", "x", "1..300", "-1..3"] {
            assert!(span::<u8>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        for text in ["", "10", "0s", "m", "10x", "-1s", "1e400s", "é", "5é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_instruction_takes_some_cycles() {
        assert_eq!(cycles("1.25"), Ok(1.25));
        for text in ["0", "-1", "NaN", "inf", "1001", "x"] {
            assert!(cycles(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit() {
        assert_eq!(bytes("768MiB"), Ok(768 << 20));
        assert_eq!(bytes("12"), Ok(12));
        for text in ["", "M", "-1", "99999999999999999G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
