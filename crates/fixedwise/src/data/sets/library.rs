//! Every split that a run takes images from, loaded once.

use super::declared::Declared;
use super::{
    super::{
        dataset::{Dataset, Port},
        source::{DataOrigin, DataSource, Split},
        truth::Expected,
    },
    options::DataOptions,
    view::View,
};
use crate::{error::DataError, model::Model};
use std::sync::Arc;

/// A split of a data set.
type Place = (DataOrigin, Split);

/// Loads every split once, and no more of it than its first images that are needed.
pub(super) struct Library {
    pub(super) ports: Vec<Port>,
    /// The names of inputs in the model's file that the network does not need.
    pub(super) unused: Vec<String>,
    pub(super) expected: Expected,
    /// How many images are needed.
    pub(super) needed: Vec<(Place, usize)>,
    /// What was loaded, and how many images were asked for.
    pub(super) loaded: Vec<(Place, usize, Arc<Dataset>)>,
}

impl Library {
    pub(super) fn new(options: &DataOptions, declared: &Declared, model: &Model) -> Self {
        let (ports, unused) = (declared.ports.clone(), model.graph().unused_inputs().to_vec());
        let (input, classes, graph) = (model.input_shape(), model.classes(), model.graph());
        let output = graph.outputs()[0].clone();
        let shape = graph.nodes[output.node].shape;
        let &DataOptions { metric, peak, .. } = options;
        let expected = Expected { metric, peak, classes, output: (output, shape), input };
        let (needed, loaded) = (Vec::new(), Vec::new());
        Self { ports, unused, expected, needed, loaded }
    }

    /// The split a source names; `preferred` where it names none and has several.
    fn choose(source: &DataSource, preferred: Split) -> Result<Split, DataError> {
        let found = source.origin.splits()?;
        match source.split {
            Some(split) if found.contains(&split) => Ok(split),
            Some(split) => {
                let names: Vec<&str> = found.iter().map(|split| split.name()).collect();
                Err(DataError::Missing(format!(
                    "`{}` has no split `{}`; it has {}",
                    source.origin.name().display(),
                    split.name(),
                    names.join(" and ")
                )))
            }
            None if found.contains(&preferred) => Ok(preferred),
            None => Ok(found[0]),
        }
    }

    /// Notes what a source will be asked for, so that it is loaded once.
    pub(super) fn need(
        &mut self,
        source: &DataSource,
        preferred: Split,
        most: usize,
    ) -> Result<(), DataError> {
        let split = Self::choose(source, preferred)?;
        let end = source.range.as_ref().map_or(usize::MAX, |range| range.end).min(most);
        let place = (source.origin.clone(), split);
        match self.needed.iter_mut().find(|(known, _)| *known == place) {
            Some((_, needed)) => *needed = end.max(*needed),
            None => self.needed.push((place, end)),
        }
        Ok(())
    }

    fn split(&mut self, source: &DataSource, split: Split) -> Result<Arc<Dataset>, DataError> {
        let place = (source.origin.clone(), split);
        let needed = self.needed.iter().find(|(known, _)| *known == place);
        let needed = needed.map_or(usize::MAX, |(_, needed)| *needed);
        let found = self.loaded.iter().find(|(known, has, _)| *known == place && *has >= needed);
        if let Some((_, _, found)) = found {
            return Ok(Arc::clone(found));
        }
        let ports = (self.ports.as_slice(), self.unused.as_slice());
        let data = Dataset::load(&source.origin, split, needed, ports, &self.expected)?;
        let data = Arc::new(data);
        self.loaded.push((place, needed, Arc::clone(&data)));
        Ok(data)
    }

    /// The images a source names, or the first `most` of them.
    pub(super) fn view(
        &mut self,
        source: &DataSource,
        preferred: Split,
        most: usize,
    ) -> Result<View, DataError> {
        self.need(source, preferred, most)?;
        let data = self.split(source, Self::choose(source, preferred)?)?;
        let range = source.range.clone().unwrap_or(0..usize::MAX);
        let end = if range.end == usize::MAX { data.len() } else { range.end };
        if end > data.len() || range.start >= end {
            return Err(DataError::Missing(format!(
                "`{source}` selects images {} to {end}, but there are only {}",
                range.start,
                data.len()
            )));
        }
        Ok(View::new(&data, (range.start..end).take(most).collect()))
    }
}
