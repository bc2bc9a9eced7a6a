//! Which images are in which set.

use super::{
    super::{
        random::divide,
        source::{DataSource, Split},
    },
    library::Library,
    options::{CALIBRATION_IMAGES, DataOptions, missing},
    view::View,
};
use crate::error::DataError;
use std::collections::BTreeSet;

/// Calibration, search and test images, as the options say.
pub(super) fn choose(
    options: &DataOptions,
    seed: u64,
    library: &mut Library,
) -> Result<(View, View, Option<View>), DataError> {
    if options.untested && options.test.is_some() {
        let problem = "test images are given, but `none` excludes a test; remove one of the two";
        return Err(DataError::Missing(problem.to_owned()));
    }
    let mut named = [None, None, None];
    let purposes = [
        (&options.calibration, "calibration", Split::Train),
        (&options.search, "search", Split::Test),
        (&options.test, "test", Split::Test),
    ];
    for (source, _, split) in &purposes {
        if let Some(source) = source {
            library.need(source, *split, usize::MAX)?;
        }
    }
    for (slot, (source, _, split)) in named.iter_mut().zip(purposes) {
        if let Some(source) = source {
            let view = library.view(source, split, usize::MAX)?;
            *slot = Some(view);
        }
    }
    options.check_calibration()?;
    let needed = 3 - usize::from(options.untested);
    let is_complete = named.iter().flatten().count() == needed;
    let parts = match &options.data {
        Some(source) if !is_complete => divide_one(source, seed, options.untested, library)?,
        _ => [None, None, None],
    };
    let mut sets = named.into_iter().zip(parts).map(|(named, part)| named.or(part));
    let mut next = || sets.next().flatten();
    let calibration = next();
    let search = next().ok_or_else(|| missing("search"))?;
    // Without images that calibrate, weights are rounded for those that are searched on.
    let calibration = calibration
        .or_else(|| options.stated_ranges.then(|| search.clone()))
        .ok_or_else(|| missing("calibration"))?;
    let test = match next() {
        _ if options.untested => None,
        None => return Err(missing("test")),
        test => test,
    };
    Ok((calibration, search, test))
}

/// What one data set gives for calibration, search and, unless it is `untested`, test.
fn divide_one(
    source: &DataSource,
    seed: u64,
    untested: bool,
    library: &mut Library,
) -> Result<[Option<View>; 3], DataError> {
    // How many of so many labeled images are searched on.
    let searched = |n: usize| if untested { n } else { n.div_ceil(2) };
    let found = source.origin.splits()?;
    let has_both = found.contains(&Split::Train) && found.contains(&Split::Test);
    let sets = if source.split.is_none() && has_both {
        let train = DataSource { range: None, ..source.clone() };
        let train = library.view(&train, Split::Train, CALIBRATION_IMAGES)?;
        let test = library.view(source, Split::Test, usize::MAX)?;
        let search = searched(test.images.len());
        let sizes = [search, test.images.len() - search];
        let mut parts = divide(&test.images, seed, &sizes).into_iter();
        let mut part = || View::new(&test.data, parts.next().unwrap_or_default());
        [train, part(), part()]
    } else {
        // Nobody divided it: a tenth calibrates (2,000 images at most), the rest is halved.
        let all = library.view(source, Split::All, usize::MAX)?;
        let n = all.images.len();
        let first = (n / 10).clamp(1, CALIBRATION_IMAGES);
        let search = searched(n.saturating_sub(first));
        let sizes = [first, search, n.saturating_sub(first + search)];
        let mut parts = divide(&all.images, seed, &sizes).into_iter();
        let mut part = || View::new(&all.data, parts.next().unwrap_or_default());
        [part(), part(), part()]
    };
    let needed = if untested { &sets[..2] } else { &sets[..] };
    if needed.iter().any(|view| view.images.is_empty()) {
        return Err(DataError::Missing(format!(
            "`{source}` has too few images to divide into calibration, search and test"
        )));
    }
    Ok(sets.map(Some))
}

/// Refuses images that stand in both sets: the same place of the same file or, between files, the
/// same pixels. An image that one file holds twice counts as two.
pub(super) fn disjoint(
    a: (&'static str, &View),
    b: (&'static str, &View),
) -> Result<(), DataError> {
    let same_file = a.1.data.is_of_same_source(&b.1.data);
    let key = |view: &View, i: usize| {
        if same_file {
            u128::from(fixedwise_fixed::convert::count_to_u64(i))
        } else {
            view.data.fingerprint(i)
        }
    };
    let known: BTreeSet<u128> = b.1.images.iter().map(|&i| key(b.1, i)).collect();
    let mut shared = a.1.images.iter().copied().filter(|&i| known.contains(&key(a.1, i)));
    let Some(first) = shared.next() else { return Ok(()) };
    let count = 1 + shared.count();
    Err(DataError::Overlap { a: a.0, b: b.0, count, first })
}
