//! What an earlier run has measured, for another bound, objective or budget.

use crate::{error::Error, files, result::RunResult};
use fixedwise_search::strategies::pareto::Known;
use std::path::Path;

/// What an earlier run has measured.
pub(crate) struct Earlier {
    /// How far its channels were balanced.
    pub(crate) balance: Option<f64>,
    pub(crate) measured: Known,
}

impl Earlier {
    /// Reads the result in a run's folder.
    ///
    /// # Errors
    /// [`Error`] where there is none, or it is of other images, another network or another strategy.
    pub(crate) fn read(folder: &Path, measured_on: &str) -> Result<Self, Error> {
        let path = folder.join("result.json");
        let refuse = |problem: &str| Error::Option {
            option: "from",
            problem: format!("{}: {problem}", path.display()),
        };
        let bytes = files::read(&path)?;
        let text = String::from_utf8(bytes).map_err(|_| refuse("it is not a text file"))?;
        let result = RunResult::from_json(&text).map_err(|problem| refuse(&problem))?;
        if result.sensitivity.is_empty() {
            return Err(refuse(
                "it has no sensitivity measurements; give the folder of a finished run of the \
                 strategy `pareto`",
            ));
        }
        if result.measured_on != measured_on {
            return Err(refuse(
                "it was measured with another network, other images or other preprocessing; use \
                 the same ones (and the same --seed), or start a new search without `from`",
            ));
        }
        let balance = result.balance;
        let method = result.weight_rounding.unwrap_or_default();
        let measured = Known { sensitivity: result.sensitivity, method, front: result.front };
        Ok(Self { balance, measured })
    }
}
