//! The attributes of one ONNX node, none left unread.

use crate::error::ImportError;
use fixedwise_codec::onnx::{Attribute, Graph, Node, Tensor};
use std::collections::BTreeMap;

/// Reads attributes; [`Attributes::finish`] refuses any left unread.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    node: &'a Node,
    unread: BTreeMap<&'a str, &'a Attribute>,
}

impl<'a> Attributes<'a> {
    /// All attributes of `node`, none read yet.
    pub(crate) fn new(node: &'a Node) -> Self {
        Self { node, unread: node.attributes.iter().map(|(k, v)| (k.as_str(), v)).collect() }
    }

    fn take<T>(
        &mut self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Attribute) -> Option<T>,
    ) -> Result<Option<T>, ImportError> {
        match self.unread.remove(name) {
            None => Ok(None),
            Some(Attribute::Unsupported(what)) => Err(self.unreadable(name, what)),
            Some(Attribute::Reference(other)) => Err(self.unreadable(
                name,
                &format!("refers to `{other}`, which only a node inside a function can"),
            )),
            Some(attribute) => match read(attribute) {
                Some(value) => Ok(Some(value)),
                None => {
                    Err(self.refuse(name, &format!("{attribute:?}"), &format!("it must be {kind}")))
                }
            },
        }
    }

    /// The error for a value that is not supported.
    pub(crate) fn refuse(&self, name: &str, value: &str, help: &str) -> ImportError {
        ImportError::AttributeValue {
            node: self.node.name.clone(),
            op_type: self.node.op_type.clone(),
            attribute: name.to_owned(),
            value: value.chars().take(80).collect(),
            help: help.to_owned(),
        }
    }

    fn unreadable(&self, name: &str, what: &str) -> ImportError {
        ImportError::Node {
            node: self.node.name.clone(),
            op_type: self.node.op_type.clone(),
            problem: format!("attribute `{name}` {what}"),
        }
    }

    /// A number that need not be finite.
    pub(crate) fn any_float(&mut self, name: &str) -> Result<Option<f32>, ImportError> {
        self.take(name, "a number", |a| match a {
            Attribute::Float(x) => Some(*x),
            _ => None,
        })
    }

    pub(crate) fn optional_float(&mut self, name: &str) -> Result<Option<f32>, ImportError> {
        match self.any_float(name)? {
            Some(x) if !x.is_finite() => {
                Err(self.refuse(name, &x.to_string(), "it must be finite"))
            }
            value => Ok(value),
        }
    }

    pub(crate) fn float(&mut self, name: &str, default: f32) -> Result<f32, ImportError> {
        Ok(self.optional_float(name)?.unwrap_or(default))
    }

    pub(crate) fn optional_int(&mut self, name: &str) -> Result<Option<i64>, ImportError> {
        self.take(name, "an integer", |a| match a {
            Attribute::Int(x) => Some(*x),
            _ => None,
        })
    }

    pub(crate) fn int(&mut self, name: &str, default: i64) -> Result<i64, ImportError> {
        Ok(self.optional_int(name)?.unwrap_or(default))
    }

    /// Refuses any value but `expected`, which is also the default.
    pub(crate) fn int_must_be(
        &mut self,
        name: &str,
        expected: i64,
        help: &str,
    ) -> Result<(), ImportError> {
        match self.int(name, expected)? {
            value if value == expected => Ok(()),
            value => Err(self.refuse(name, &value.to_string(), help)),
        }
    }

    pub(crate) fn optional_ints(&mut self, name: &str) -> Result<Option<Vec<i64>>, ImportError> {
        self.take(name, "a list of integers", |a| match a {
            Attribute::Ints(x) => Some(x.clone()),
            _ => None,
        })
    }

    pub(crate) fn optional_floats(&mut self, name: &str) -> Result<Option<Vec<f32>>, ImportError> {
        self.take(name, "a list of numbers", |a| match a {
            Attribute::Floats(x) => Some(x.clone()),
            _ => None,
        })
    }

    /// A list of `len` extents; `None` where the file leaves it out.
    pub(crate) fn extents(
        &mut self,
        name: &str,
        len: usize,
        smallest: usize,
    ) -> Result<Option<Vec<usize>>, ImportError> {
        /// Larger than any kernel, stride or padding.
        const MAX: usize = 1 << 20;
        let Some(list) = self.optional_ints(name)? else { return Ok(None) };
        let extents: Vec<usize> = list
            .iter()
            .filter_map(|&x| usize::try_from(x).ok())
            .filter(|&x| x >= smallest && x <= MAX)
            .collect();
        if list.len() != len || extents.len() != len {
            let help = format!("it must be {len} integers of at least {smallest}");
            return Err(self.refuse(name, &format!("{list:?}"), &help));
        }
        Ok(Some(extents))
    }

    pub(crate) fn string(&mut self, name: &str, default: &str) -> Result<String, ImportError> {
        let value = self.take(name, "a text", |a| match a {
            Attribute::String(x) => Some(x.clone()),
            _ => None,
        })?;
        Ok(value.unwrap_or_else(|| default.to_owned()))
    }

    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<&'a Tensor>, ImportError> {
        self.take(name, "a tensor", |a| match a {
            Attribute::Tensor(x) => Some(x),
            _ => None,
        })
    }

    pub(crate) fn graph(&mut self, name: &str) -> Result<Option<&'a Graph>, ImportError> {
        self.take(name, "a graph", |a| match a {
            Attribute::Graph(x) => Some(&**x),
            _ => None,
        })
    }

    /// # Errors
    /// [`ImportError::UnknownAttribute`] for the first attribute nobody read.
    pub(crate) fn finish(self) -> Result<(), ImportError> {
        match self.unread.first_key_value() {
            None => Ok(()),
            Some((attribute, _)) => Err(ImportError::UnknownAttribute {
                node: self.node.name.clone(),
                op_type: self.node.op_type.clone(),
                attribute: (*attribute).to_owned(),
            }),
        }
    }
}
