//! What the network of a run is fed, and who declared it.

use super::{super::dataset::Port, options::DataOptions};
use crate::{
    error::{DataError, Error},
    model::Model,
    plan::PlanSource,
    preprocess::{DeclaredBy, Preprocess},
    result::PreprocessingResult,
};
use fixedwise_graph::Shape;

/// What each input of a network is fed, and who declared it.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// By input.
    pub(crate) ports: Vec<Port>,
    by: DeclaredBy,
    /// Whether a plan was given that says nothing of it.
    is_missing_in_plan: bool,
}

impl Declared {
    /// With the scales that nobody declared, for pixels of each input that are 8-bit integers or not.
    pub(crate) fn resolved(&self, is_u8: &[bool]) -> Preprocess {
        self.all(is_u8, Preprocess::resolved)
    }

    /// The same as text, without how images are stored.
    pub(crate) fn text(&self, is_u8: &[bool]) -> String {
        let plain = |preprocess: &Preprocess, is_u8| Preprocess {
            layout: None,
            ..preprocess.resolved(is_u8)
        };
        self.all(is_u8, plain).to_string()
    }

    fn all(&self, is_u8: &[bool], of: impl Fn(&Preprocess, bool) -> Preprocess) -> Preprocess {
        let names: Vec<&str> = self.ports.iter().map(|port| port.name.as_str()).collect();
        let ports = self.ports.iter().zip(is_u8);
        Preprocess::of_inputs(&names, ports.map(|(port, &is)| of(&port.preprocess, is)).collect())
    }

    /// As a result tells of it, for pixels that are 8-bit integers or not.
    pub(crate) fn result(&self, is_u8: &[bool]) -> PreprocessingResult {
        PreprocessingResult {
            preprocess: self.resolved(is_u8),
            declared_by: self.by,
            is_missing_in_plan: self.is_missing_in_plan,
            ..PreprocessingResult::default()
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
        let (preprocess, mut by) = match &self.preprocess {
            Some(preprocess) => (preprocess.clone(), DeclaredBy::Option),
            None => match model.path().map(Preprocess::beside).transpose()?.flatten() {
                Some(preprocess) => (preprocess, DeclaredBy::ModelToml),
                None => (Preprocess::default(), DeclaredBy::Default),
            },
        };
        let inputs = model.inputs();
        let names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
        let mut all = preprocess.for_inputs(&names)?;
        let of_plan = plan.map(PlanSource::preprocess).transpose()?.flatten();
        let is_missing_in_plan = plan.is_some() && of_plan.is_none();
        if let (Some(plan), Some(of_plan)) = (plan, of_plan) {
            let refuse =
                |problem| Error::Plan { path: plan.place().to_owned(), line: None, problem };
            let not_of_model = |problem: &str| {
                refuse(format!("preprocess `{of_plan}`: {problem}; the plan is for another model"))
            };
            let of_plan = of_plan.for_inputs(&names).map_err(|error| match error {
                DataError::Preprocess { problem, .. } => not_of_model(&problem),
                error => error.into(),
            })?;
            for ((declared, of_plan), (_, shape)) in all.iter_mut().zip(of_plan).zip(&inputs) {
                agree(*shape, &of_plan, declared, by).map_err(refuse)?;
                // How images are stored is no matter of the plan.
                let (resize, layout) = (declared.resize, declared.layout);
                *declared = Preprocess {
                    resize: resize.or(of_plan.resize),
                    layout: layout.or(of_plan.layout),
                    ..of_plan
                };
            }
            by = DeclaredBy::Plan;
        } else if let (Some(PlanSource::Loaded(_)), DeclaredBy::Default) = (plan, by) {
            let problem = "must be given with a plan in memory, which does not say what its network is \
                           fed; `RunResult::preprocessing` and `plan_preprocess` say it";
            return Err(Error::Option { option: "preprocess", problem: problem.to_owned() });
        }
        let mut ports = Vec::with_capacity(inputs.len());
        let takes_bytes = model.takes_bytes();
        for (((name, shape), mut preprocess), is_bytes) in
            inputs.into_iter().zip(all).zip(takes_bytes)
        {
            if is_bytes {
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
            if let Some([h, w]) = preprocess.resize
                && (h, w) != (shape.h, shape.w)
            {
                return Err(DataError::Missing(format!(
                    "resize={h}x{w} does not match the {}x{} input of the network",
                    shape.h, shape.w
                ))
                .into());
            }
            ports.push(Port { name, shape, preprocess });
        }
        Ok(Declared { ports, by, is_missing_in_plan })
    }
}

/// Refuses a preprocessing that feeds a network otherwise than its plan says, and a plan of another network.
fn agree(
    shape: Shape,
    of_plan: &Preprocess,
    declared: &Preprocess,
    by: DeclaredBy,
) -> Result<(), String> {
    let told = |error: DataError| match error {
        DataError::Preprocess { problem, .. } => problem,
        error => error.to_string(),
    };
    if let Err(error) = of_plan.affine(shape.c, true) {
        let problem = told(error);
        return Err(format!("preprocess `{of_plan}`: {problem}; the plan is for another model"));
    }
    if !declared.has_numbers() || declared.feeds_the_same(of_plan, shape.c).map_err(told)? {
        return Ok(());
    }
    let (said, remedy) = match by {
        DeclaredBy::ModelToml => ("the TOML file beside the model", "correct this file"),
        _ => ("--preprocess", "omit --preprocess"),
    };
    Err(format!(
        "was made for the preprocessing `{of_plan}`, but {said} says `{declared}`; {remedy}, or \
         quantize again"
    ))
}
