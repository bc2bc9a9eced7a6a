//! What the network of a run is fed, and who declared it.

use super::options::DataOptions;
use crate::{
    error::{DataError, Error},
    model::Model,
    plan::PlanSource,
    preprocess::{DeclaredBy, Preprocess},
    result::PreprocessingResult,
};

/// A preprocessing, and who declared it.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) preprocess: Preprocess,
    by: DeclaredBy,
    /// Whether a plan was given that says nothing of it.
    is_missing_in_plan: bool,
}

impl Declared {
    /// As a result tells of it, for pixels that are 8-bit integers or not.
    pub(crate) fn result(&self, is_u8: bool) -> PreprocessingResult {
        PreprocessingResult {
            preprocess: self.preprocess.resolved(is_u8),
            declared_by: self.by,
            is_missing_in_plan: self.is_missing_in_plan,
            range: Vec::new(),
        }
    }
}

impl DataOptions {
    /// What the network is fed: as the plan says, where one is given that does; else as the option, the file
    /// beside the model or the model itself says; else the default.
    ///
    /// # Errors
    /// Where the option or the file feeds it otherwise than the plan: its integers and formats were made
    /// for that. Where a plan in memory comes without: it does not contain it, and a default would be a
    /// guess. Where a model that takes 8-bit integers is to be fed others.
    pub(crate) fn declared(
        &self,
        model: &Model,
        plan: Option<PlanSource>,
    ) -> Result<Declared, Error> {
        let (mut preprocess, mut by) = match &self.preprocess {
            Some(preprocess) => (preprocess.clone(), DeclaredBy::Option),
            None => match model.path().map(Preprocess::beside).transpose()?.flatten() {
                Some(preprocess) => (preprocess, DeclaredBy::ModelToml),
                None => (Preprocess::default(), DeclaredBy::Default),
            },
        };
        let of_plan = plan.map(PlanSource::preprocess).transpose()?.flatten();
        let is_missing_in_plan = plan.is_some() && of_plan.is_none();
        if let (Some(plan), Some(of_plan)) = (plan, of_plan) {
            agree(model, plan, &of_plan, &preprocess, by)?;
            // How images are stored is no matter of the plan.
            let (resize, layout) = (preprocess.resize, preprocess.layout);
            preprocess = Preprocess {
                resize: resize.or(of_plan.resize),
                layout: layout.or(of_plan.layout),
                ..of_plan
            };
            by = DeclaredBy::Plan;
        } else if let (Some(PlanSource::Loaded(_)), DeclaredBy::Default) = (plan, by) {
            let problem = "must be given with a plan in memory, which does not say what its network is \
                           fed; `RunResult::preprocessing` and `plan_preprocess` say it";
            return Err(Error::Option { option: "preprocess", problem: problem.to_owned() });
        }
        if model.takes_bytes() {
            if !preprocess.is_identity() {
                return Err(Error::TakesBytes {
                    path: model.place().to_owned(),
                    preprocess: preprocess.to_string(),
                });
            }
            preprocess.scale = Some(1.0);
            by = if by == DeclaredBy::Default { DeclaredBy::Model } else { by };
        }
        preprocess.layout = self.layout.or(preprocess.layout);
        let shape = model.input_shape();
        match preprocess.resize {
            Some([h, w]) if (h, w) != (shape.h, shape.w) => Err(DataError::Missing(format!(
                "resize={h}x{w} does not match the {}x{} input of the network",
                shape.h, shape.w
            ))
            .into()),
            _ => Ok(Declared { preprocess, by, is_missing_in_plan }),
        }
    }
}

/// Refuses a preprocessing that feeds a network otherwise than its plan says, and a plan of another network.
fn agree(
    model: &Model,
    plan: PlanSource,
    of_plan: &Preprocess,
    declared: &Preprocess,
    by: DeclaredBy,
) -> Result<(), Error> {
    let channels = model.input_shape().c;
    let refuse = |problem| Error::Plan { path: plan.place().to_owned(), line: None, problem };
    if let Err(DataError::Preprocess { problem, .. }) = of_plan.affine(channels, true) {
        let problem = format!("preprocess `{of_plan}`: {problem}; the plan is for another model");
        return Err(refuse(problem));
    }
    if !declared.has_numbers() || declared.feeds_the_same(of_plan, channels)? {
        return Ok(());
    }
    let (said, remedy) = match by {
        DeclaredBy::ModelToml => ("the TOML file beside the model", "correct this file"),
        _ => ("--preprocess", "omit --preprocess"),
    };
    Err(refuse(format!(
        "was made for the preprocessing `{of_plan}`, but {said} says `{declared}`; {remedy}, or \
         quantize again"
    )))
}
