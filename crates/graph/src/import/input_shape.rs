//! Extents that a file leaves open, as a user gives them.

use crate::error::ImportError;
use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

/// The shape of an input whose file leaves extents open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// Which input; `None` where there is one.
    pub name: Option<String>,
    /// Its extents in the order of the file, the batch first.
    pub extents: Vec<usize>,
}

impl FromStr for InputShape {
    type Err = ImportError;

    /// `1x3x224x224`, or `NAME=1x3x224x224`.
    fn from_str(text: &str) -> Result<Self, ImportError> {
        let (name, list) = match text.rsplit_once('=') {
            Some((name, list)) => (Some(name), list),
            None => (None, text),
        };
        let extents: Option<Vec<usize>> =
            list.split('x').map(|extent| extent.trim().parse().ok().filter(|&n| n > 0)).collect();
        match extents.filter(|_| name != Some("")) {
            Some(extents) => Ok(Self { name: name.map(str::to_owned), extents }),
            None => Err(ImportError::Interface(format!(
                "`{text}` is not a shape; write the extents in the order of the file, the batch \
                 first: `1x3x224x224`, or `NAME=1x3x224x224`"
            ))),
        }
    }
}

impl Display for InputShape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        let extents: Vec<String> = self.extents.iter().map(usize::to_string).collect();
        f.write_str(&extents.join("x"))
    }
}
