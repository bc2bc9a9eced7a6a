//! The first result of a run as text: what the network is fed, and what the float network makes of it.

use super::{
    numbers::{figure_text, figure_title, grouped},
    report::{Mark, Statement},
};
use crate::{
    preprocess::DeclaredBy,
    result::{FloatFigure, FloatResult, InputRange, ModelResult, PreprocessingResult},
};
use fixedwise_fixed::convert::u64_to_f64;

/// `pixels / 255 (default); float network: 80.9 % of 5,000 images, chance is 10 %`.
///
/// ```
/// use fixedwise::{FloatResult, PreprocessingResult, first_result};
///
/// let fed = PreprocessingResult { preprocess: "scale=1/255".parse()?, ..Default::default() };
/// let float =
///     FloatResult { images: 5000, classes: 10, correct: Some(570), ..FloatResult::default() };
/// assert_eq!(
///     first_result(&fed, &float),
///     "pixels / 255 (default); float network: 11.4 % of 5,000 images, chance is 10 %"
/// );
/// # Ok::<(), fixedwise::DataError>(())
/// ```
pub fn first_result(preprocessing: &PreprocessingResult, float: &FloatResult) -> String {
    format!("{}; {}", fed(preprocessing), of_float(float))
}

/// The first result and what looks wrong with it.
pub(super) fn statements(
    preprocessing: Option<&PreprocessingResult>,
    float: Option<&FloatResult>,
) -> Vec<Statement> {
    let (Some(preprocessing), Some(float)) = (preprocessing, float) else { return Vec::new() };
    let say = |mark, text: String| Statement { mark, text: text.into(), details: Vec::new() };
    let warnings = float.warnings.iter().cloned();
    let warnings = warnings.map(|text| say(Some(Mark::Attention), text));
    [say(None, first_result(preprocessing, float))].into_iter().chain(warnings).collect()
}

/// What was rounded before, and what follows from that.
pub(super) fn rounded_before(model: &ModelResult) -> Option<Statement> {
    let rounded = model.rounded_before.as_ref()?;
    let weights = rounded.weights.iter().map(|weights| {
        let scales = if weights.by_channel { "per channel" } else { "per tensor" };
        let tensors = if weights.tensors == 1 { "tensor" } else { "tensors" };
        format!(
            "weights to {} bits {scales} ({} {tensors})",
            weights.bits,
            grouped(weights.tensors)
        )
    });
    let activations = rounded.activations.iter().map(|values| {
        let n = if values.values == 1 { "value" } else { "values" };
        format!("activations to {} bits ({} {n})", values.bits, grouped(values.values))
    });
    let all: Vec<String> = weights.chain(activations).collect();
    let ranges = if rounded.activations.is_empty() {
        ""
    } else {
        " `--calibration model` takes the ranges of the activations."
    };
    let text = format!(
        "Rounded before: {}. The float network is that of the rounded weights: losses count from there, \
         not from the network before.{ranges}",
        all.join(", ")
    );
    Some(Statement { mark: Some(Mark::Attention), text: text.into(), details: Vec::new() })
}

impl PreprocessingResult {
    /// `pixels / 255 (default)`.
    ///
    /// ```
    /// let fed = fixedwise::PreprocessingResult::default();
    /// assert_eq!(fed.to_text(), "pixels as they are (default)");
    /// ```
    pub fn to_text(&self) -> String {
        fed(self)
    }
}

/// `pixels / 255 (default)`.
pub(crate) fn fed(preprocessing: &PreprocessingResult) -> String {
    let by = match preprocessing.declared_by {
        DeclaredBy::Default => "default",
        DeclaredBy::Option => "--preprocess",
        DeclaredBy::ModelToml => "TOML file of the model",
        DeclaredBy::Model => "the model takes 8-bit integers",
        DeclaredBy::Plan => "from the plan",
    };
    let missing = if preprocessing.is_missing_in_plan { "; the plan does not say it" } else { "" };
    format!("{} ({by}{missing})", preprocessing.preprocess.formula())
}

/// The range of the values that enter the network.
pub(super) fn range(preprocessing: &PreprocessingResult) -> Statement {
    let range = |[low, high]: &[f32; 2]| {
        format!("{} to {}", short(f64::from(*low)), short(f64::from(*high)))
    };
    let told = |to: &str, ranges: &[[f32; 2]]| {
        let ranges: Vec<String> = ranges.iter().map(range).collect();
        let channels = if ranges.len() > 1 { ", by channel" } else { "" };
        format!("values that enter {to}{channels}: {}", ranges.join(", "))
    };
    let of = |input: &InputRange| told(&format!("`{}`", input.name), &input.range);
    let text = match &preprocessing.inputs[..] {
        [] => told("the network", &preprocessing.range),
        inputs => inputs.iter().map(of).collect::<Vec<_>>().join("; "),
    };
    Statement { mark: None, text: text.into(), details: Vec::new() }
}

fn of_float(float: &FloatResult) -> String {
    let images = grouped(float.images);
    if let Some(FloatFigure { metric, value }) = &float.figure {
        let (title, value) = (figure_title(metric), figure_text(metric, *value));
        return format!("float network: {title} {value} on {images} images");
    }
    if let Some([low, high]) = float.output_range {
        let [low, high] = [low, high].map(|x| short(f64::from(x)));
        return format!("float network: values from {low} to {high} on {images} images");
    }
    if let Some(accuracy) = float.accuracy() {
        let (guesses, by) = if float.top5 { (5, " (top-5)") } else { (1, "") };
        let classes = u64_to_f64(float.classes.max(guesses));
        let chance = short(100.0 * u64_to_f64(guesses) / classes);
        return format!(
            "float network: {:.1} % of {images} images{by}, chance is {chance} %",
            accuracy * 100.0
        );
    }
    let [class, most] = float.most_named.unwrap_or_default();
    let share = 100.0 * u64_to_f64(most) / u64_to_f64(float.images.max(1));
    format!("float network: class {class} for {share:.1} % of {images} images without labels")
}

/// A number with four digits at most, without zeros behind.
pub(crate) fn short(x: f64) -> String {
    let digits = match x.abs() {
        1000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        _ => 3,
    };
    if x != 0.0 && x.abs() < 0.001 {
        return format!("{x:.1e}");
    }
    let text = format!("{x:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    };
    if text == "-0" { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_result_is_one_sentence() {
        let long = "scale=1/255,mean=0.485;0.456,std=0.229;0.224,resize=224x224";
        let mut fed = PreprocessingResult {
            preprocess: long.parse().unwrap(),
            declared_by: DeclaredBy::ModelToml,
            is_missing_in_plan: true,
            range: vec![[-2.118, 2.249], [0.0, 0.000_1]],
            inputs: Vec::new(),
        };
        let float = FloatResult {
            images: 50_000,
            classes: 3,
            correct: Some(20_000),
            ..FloatResult::default()
        };
        assert_eq!(
            first_result(&fed, &float),
            "(pixels / 255 - [0.485, 0.456]) / [0.229, 0.224], resized to 224x224 (TOML file of the model; \
             the plan does not say it); float network: 40.0 % of 50,000 images, chance is 33.33 %"
        );
        let ranges = "values that enter the network, by channel: -2.118 to 2.249, 0 to 1.0e-4";
        assert_eq!(range(&fed).text, ranges.into());
        fed =
            PreprocessingResult { declared_by: DeclaredBy::Plan, ..PreprocessingResult::default() };
        let bare = FloatResult {
            images: 10,
            classes: 3,
            most_named: Some([2, 9]),
            ..FloatResult::default()
        };
        assert_eq!(
            first_result(&fed, &bare),
            "pixels as they are (from the plan); float network: class 2 for 90.0 % of 10 images without \
             labels"
        );
        let values =
            FloatResult { images: 10, output_range: Some([-0.5, 12.25]), ..FloatResult::default() };
        assert!(first_result(&fed, &values).ends_with("values from -0.5 to 12.25 on 10 images"));
    }
}
