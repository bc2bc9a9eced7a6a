//! Short names of nodes for tables, progress and plots.
//!
//! Exporters write paths such as `StatefulPartitionedCall/model/block1/conv/Conv2D` or
//! `/features/features.0/Conv`. A short name keeps the parts that distinguish a node.

use crate::fold::text_width;
use fixedwise_graph::Graph;
use std::collections::{BTreeMap, BTreeSet};

/// Path segments that TensorFlow adds around a whole model.
const WRAPPERS: [&str; 2] = ["StatefulPartitionedCall", "PartitionedCall"];

/// Last path segments that name the operator inside a layer: of ONNX, of TensorFlow and of Keras.
const OPERATORS: [&str; 30] = [
    "Add",
    "AddV2",
    "AveragePool",
    "AvgPool",
    "BatchNormalization",
    "BiasAdd",
    "Clip",
    "Conv",
    "Conv2D",
    "DepthwiseConv2dNative",
    "Flatten",
    "FusedBatchNormV3",
    "Gemm",
    "GlobalAveragePool",
    "MatMul",
    "MaxPool",
    "Mean",
    "ReadVariableOp",
    "Relu",
    "Relu6",
    "Reshape",
    "Softmax",
    "Squeeze",
    "Sum",
    "Transpose",
    "add",
    "convolution",
    "depthwise",
    "resource",
    "separable_conv2d",
];

/// The short name of each node of a run.
#[derive(Debug)]
pub(crate) struct ShortNames {
    short: BTreeMap<String, String>,
}

impl ShortNames {
    /// Short names of all nodes, for a line of progress.
    pub(crate) fn of(graph: &Graph) -> Self {
        Self::new(graph.nodes.iter().map(|node| node.name.as_str()), 24)
    }

    /// Short names of at most `most` columns on a terminal; see [`ShortNames::fitting`].
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> Self {
        Self::fitting(names, |text| text_width(text) <= most)
    }

    /// Short names that fit; different names have different short names.
    ///
    /// Longer names fit too, if they are without their parts in the middle. `fits` must accept every text
    /// that is shorter than one that it accepts.
    pub(crate) fn fitting<'a>(
        names: impl IntoIterator<Item = &'a str>,
        fits: impl Fn(&str) -> bool,
    ) -> Self {
        let mut seen = BTreeSet::new();
        let names: Vec<&str> = names.into_iter().filter(|name| seen.insert(*name)).collect();
        let visible: Vec<String> = names.iter().map(|name| visible(name)).collect();
        let plain = distinct(&visible.iter().map(String::as_str).collect::<Vec<_>>());
        let mut short: Vec<String> = plain.iter().map(Path::join).collect();
        let mut taken = BTreeSet::new();
        let (fit, long): (Vec<usize>, Vec<usize>) =
            (0..names.len()).partition(|&idx| fits(&short[idx]));
        // Different names may look alike: only the first then stays as it is.
        let alike: Vec<usize> =
            fit.into_iter().filter(|&idx| !taken.insert(short[idx].clone())).collect();
        // One way for all of them, if one keeps them apart: they then look alike.
        let ways: Vec<_> = (0..Elision::ALL.len())
            .map(|first| {
                let text = |path| Elision::ALL[first..].iter().find_map(|way| way.of(path, &fits));
                let texts: Vec<_> = long.iter().map(|&idx| text(&plain[idx])).collect();
                let distinct: BTreeSet<_> = texts.iter().flatten().collect();
                let is_good = texts.iter().all(Option::is_some)
                    && distinct.len() == texts.len()
                    && distinct.iter().all(|&text| !taken.contains(text));
                (is_good, texts)
            })
            .collect();
        let chosen = ways.iter().position(|(is_good, _)| *is_good);
        for (place, &idx) in long.iter().enumerate() {
            let mut found = chosen.and_then(|way| ways[way].1[place].clone());
            if found.is_none() {
                let texts = ways.iter().filter_map(|(_, texts)| texts[place].clone());
                found = texts.into_iter().find(|text| !taken.contains(text));
            }
            short[idx] = found.unwrap_or_else(|| numbered(&short[idx], &taken, &fits));
            taken.insert(short[idx].clone());
        }
        for idx in alike {
            short[idx] = numbered(&short[idx], &taken, &fits);
            taken.insert(short[idx].clone());
        }
        let names = names.into_iter().map(str::to_owned);
        Self { short: names.zip(short).collect() }
    }

    /// The short name of a node; a text behind the name, as in `conv (working memory)`, stays.
    pub(crate) fn get(&self, name: &str) -> String {
        if let Some(short) = self.short.get(name) {
            return short.clone();
        }
        let parts =
            name.split_once(" (").and_then(|(name, rest)| Some((self.short.get(name)?, rest)));
        parts.map_or_else(|| name.to_owned(), |(short, rest)| format!("{short} ({rest}"))
    }
}

/// A name as it can be seen: a name of blanks is none, what has no form is a question mark.
fn visible(name: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let words: Vec<&str> = name.split_whitespace().collect();
    let text: String =
        words.join(" ").chars().map(|c| if is_hidden(c) { '?' } else { c }).collect();
    if text.is_empty() { "unnamed".to_owned() } else { text }
}

/// The names of a network's inputs, and which one is meant by another spelling of it.
#[derive(Debug)]
pub(crate) struct InputNames<'a> {
    names: &'a [&'a str],
    short: ShortNames,
}

impl<'a> InputNames<'a> {
    /// Of the inputs with those names.
    pub(crate) fn new(names: &'a [&'a str]) -> Self {
        Self { names, short: ShortNames::new(names.iter().copied(), 24) }
    }

    /// The input that is meant: by its name, the short one that tables have, or its name as an identifier, where
    /// no other is.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let exact = self.names.iter().position(|own| *own == name);
        let plain = |name: &str| -> String {
            let plain = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' });
            plain.collect::<String>().trim_matches('_').to_lowercase()
        };
        let wanted = plain(name);
        let is_meant = |own: &str| plain(own) == wanted || plain(&self.short.get(own)) == wanted;
        exact.or_else(|| {
            let mut meant = (0..self.names.len()).filter(|&i| is_meant(self.names[i]));
            meant.next().filter(|_| meant.next().is_none())
        })
    }

    /// `the inputs are A, B`.
    pub(crate) fn told(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
        match &names[..] {
            [one] => format!("the input is {one}"),
            names => format!("the inputs are {}", names.join(", ")),
        }
    }
}

/// Of the names that are known, the few that a name which is not among them is most like.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    /// Most names that are told.
    const TOLD: usize = 5;
    let mut near: Vec<&str> = known.into_iter().collect();
    near.sort_by_cached_key(|known| distance(name, known));
    near.truncate(TOLD);
    near
}

/// How many characters have to be changed, added or removed to make one text of the other.
///
/// ```
/// assert_eq!(fixedwise::distance("max-los", "max-loss"), 1);
/// ```
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let changed = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

/// A name without what says nothing.
#[derive(Clone, Debug, PartialEq)]
struct Path<'a> {
    segments: Vec<&'a str>,
    separator: char,
}

impl<'a> Path<'a> {
    fn of(name: &'a str) -> Self {
        // PyTorch writes `/layer1/layer1.0/conv1/Conv`, TensorFlow `model/conv/Conv2D`.
        let separator = if name.starts_with('/') { '.' } else { '/' };
        let all: Vec<&str> =
            without_suffix(name).split('/').filter(|part| !part.trim().is_empty()).collect();
        let is_wrapper = |segment: &str| WRAPPERS.contains(&unnumbered(segment));
        let mut segments: Vec<&str> =
            all.iter().copied().filter(|segment| !is_wrapper(segment)).collect();
        // `layer1.0` repeats its parent `layer1`.
        let repeats = |idx: usize, segments: &[&str]| {
            let child = segments.get(idx + 1).and_then(|next| next.strip_prefix(segments[idx]));
            child.is_some_and(|rest| rest.starts_with('.'))
        };
        for idx in (0..segments.len()).rev() {
            if repeats(idx, &segments) {
                segments.remove(idx);
            }
        }
        if let [only] = segments.as_mut_slice()
            && let Some(rest) = only.strip_prefix("node_").filter(|rest| !rest.is_empty())
        {
            *only = rest;
        }
        if segments.is_empty() { Self::whole(name) } else { Self { segments, separator } }
    }

    /// The name as it is.
    fn whole(name: &'a str) -> Self {
        Self { segments: vec![name], separator: '/' }
    }

    fn join(&self) -> String {
        self.segments.join(&self.separator.to_string())
    }

    /// The segments before those that only name an operator.
    fn layer(&self) -> &[&'a str] {
        let is_operator = |segment: &&str| OPERATORS.contains(&unnumbered(segment));
        let n = self.segments.iter().rev().take_while(|segment| is_operator(segment)).count();
        &self.segments[..self.segments.len() - n]
    }
}

/// Without the number of an output or a copy: `:0`, `_output_0`, `__12`.
fn without_suffix(name: &str) -> &str {
    let mut rest = name;
    for mark in [":", "__", "_output_"] {
        if let Some((before, number)) = rest.rsplit_once(mark)
            && !before.is_empty()
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            rest = before;
        }
    }
    rest
}

/// Without `_1` at the end.
fn unnumbered(segment: &str) -> &str {
    let number = segment.rsplit_once('_').filter(|(before, number)| {
        !before.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    number.map_or(segment, |(before, _)| before)
}

/// The names without common beginnings and operators at their ends, as far as they stay distinct.
fn distinct<'a>(names: &[&'a str]) -> Vec<Path<'a>> {
    let mut paths: Vec<Path<'a>> = names.iter().map(|name| Path::of(name)).collect();
    drop_common_beginning(&mut paths);
    drop_operators(&mut paths);
    // Whole names are distinct, so this ends.
    loop {
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for path in &paths {
            *count.entry(path.join()).or_default() += 1;
        }
        let mut is_done = true;
        for (path, name) in paths.iter_mut().zip(names) {
            let whole = Path::whole(name);
            if count[&path.join()] > 1 && *path != whole {
                *path = whole;
                is_done = false;
            }
        }
        if is_done {
            return paths;
        }
    }
}

/// Drops the first segments that all paths of several segments share.
fn drop_common_beginning(paths: &mut [Path<'_>]) {
    loop {
        let mut firsts =
            paths.iter().filter(|path| path.segments.len() > 1).map(|path| path.segments[0]);
        let Some(first) = firsts.next() else { return };
        // Of one path alone nothing is common.
        let mut n = 1;
        if !firsts.all(|other| {
            n += 1;
            other == first
        }) || n == 1
        {
            return;
        }
        for path in paths.iter_mut().filter(|path| path.segments.len() > 1) {
            path.segments.remove(0);
        }
    }
}

/// Drops operators at the end of paths: the first path of a layer has the name of the layer.
fn drop_operators(paths: &mut [Path<'_>]) {
    let old = paths.to_vec();
    let mut layers: BTreeSet<Vec<&str>> = BTreeSet::new();
    for (path, old_path) in paths.iter_mut().zip(&old) {
        let layer = old_path.layer();
        if layer.is_empty() || layer.len() == old_path.segments.len() {
            continue;
        }
        // A block that contains layers is none.
        let is_block = old.iter().any(|other| {
            let inner = other.layer();
            inner.len() > layer.len() && inner.starts_with(layer)
        });
        if !is_block && layers.insert(layer.to_vec()) {
            path.segments.truncate(layer.len());
        }
    }
}

/// How a name that does not fit is shortened.
#[derive(Clone, Copy, Debug)]
enum Elision {
    /// The first letters of each word.
    Words,
    /// The first segment, and as many of the last as fit.
    Ends,
    /// As many of the last segments as fit.
    End,
    /// Characters in the middle are left out; so many of twelve parts of what is kept come first.
    Middle(usize),
}

impl Elision {
    const ALL: [Self; 8] = [
        Self::Words,
        Self::Ends,
        Self::End,
        Self::Middle(6),
        Self::Middle(4),
        Self::Middle(8),
        Self::Middle(2),
        Self::Middle(10),
    ];

    fn of(self, path: &Path<'_>, fits: &impl Fn(&str) -> bool) -> Option<String> {
        let Path { segments, separator } = path;
        let last = |n: usize| segments[segments.len() - n..].join(&separator.to_string());
        match self {
            Self::Words => {
                (3..8).rev().map(|n| abbreviated(&path.join(), n)).find(|text| fits(text))
            }
            Self::Ends => (1..segments.len().saturating_sub(1))
                .rev()
                .map(|n| format!("{}…{}", segments[0], last(n)))
                .find(|text| fits(text)),
            Self::End => {
                (1..segments.len()).rev().map(|n| format!("…{}", last(n))).find(|text| fits(text))
            }
            Self::Middle(part) => {
                let text: Vec<char> = path.join().chars().collect();
                let short = |kept: usize| -> String {
                    let head = (kept * part / 12).max(1);
                    let tail = &text[text.len() - (kept - head)..];
                    text[..head].iter().chain(&['…']).chain(tail).collect()
                };
                // About so many characters fit; where they differ in width, fewer may.
                let (mut least, mut most) = (1, text.len());
                while least + 1 < most {
                    let middle = usize::midpoint(least, most);
                    if fits(&short(middle)) { least = middle } else { most = middle }
                }
                (2..=least).rev().map(short).find(|short| fits(short))
            }
        }
    }
}

/// At most `n` letters of each word; a word ends before a capital letter too.
fn abbreviated(text: &str, n: usize) -> String {
    let (mut length, mut was_small) = (0, false);
    let is_kept = |c: &char| {
        let is_new = c.is_uppercase() && was_small;
        length = if !c.is_alphabetic() {
            0
        } else if is_new {
            1
        } else {
            length + 1
        };
        was_small = c.is_lowercase();
        length <= n
    };
    text.chars().filter(is_kept).collect()
}

/// The beginning of a name, and a number that no other has.
fn numbered(name: &str, taken: &BTreeSet<String>, fits: &impl Fn(&str) -> bool) -> String {
    let chars: Vec<char> = name.chars().collect();
    let text = |head: usize, number: usize| {
        format!("{}…{number}", chars[..head].iter().collect::<String>())
    };
    // A longer number leaves room for less of the name.
    let mut head = chars.len();
    // One of one more text than are taken is free.
    for number in 2..=taken.len() + 2 {
        while head > 0 && !fits(&text(head, number)) {
            head -= 1;
        }
        let text = text(head, number);
        if !taken.contains(&text) {
            return text;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(most: usize, expected: &[(&str, &str)]) {
        let names = ShortNames::new(expected.iter().map(|(name, _)| *name), most);
        for (name, short) in expected {
            assert_eq!(names.get(name), *short, "{name}");
        }
    }

    /// `torch.onnx.export(dynamo=False)`.
    #[test]
    fn the_nearest_names_come_first() {
        assert_eq!(
            [distance("kitten", "sitting"), distance("", "abc"), distance("é", "é")],
            [3, 3, 0]
        );
        let known = ["dense", "conv2d_2", "conv2d_1", "a", "b", "c"];
        assert_eq!(nearest("conv2d1", known)[..2], ["conv2d_1", "conv2d_2"]);
        assert_eq!(nearest("dens", known).len(), 5);
    }

    #[test]
    fn names_of_torch_modules_are_dotted() {
        check(
            16,
            &[
                ("/features/features.0/Conv", "features.0"),
                ("/features/features.3/Conv", "features.3"),
                ("/features/features.6/block/block.0/Conv", "featur.6.block.0"),
                ("/pool/GlobalAveragePool", "pool"),
                ("/classifier/classifier.1/Gemm", "classifier.1"),
            ],
        );
        check(
            16,
            &[
                ("input", "input"),
                ("/conv1/Conv", "conv1"),
                ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
                ("/layer1/layer1.0/relu/Relu", "layer1.0.relu"),
                ("/layer1/layer1.0/conv2/Conv", "layer1.0.conv2"),
                ("/layer1/layer1.0/Add", "layer1.0.Add"),
                ("/layer1/layer1.0/relu_1/Relu", "layer1.0.relu_1"),
                ("/layer2/layer2.0/downsample/downsample.0/Conv", "layer2.0.downs.0"),
                ("/GlobalAveragePool", "GlobalAveragPool"),
                ("/Flatten", "Flatten"),
                ("/fc/Gemm", "fc"),
            ],
        );
    }

    /// `torch.onnx.export(dynamo=True)`.
    #[test]
    fn names_of_torch_programs_lose_their_mark() {
        check(
            16,
            &[
                ("node_conv2d", "conv2d"),
                ("node_Conv_21", "Conv_21"),
                ("node_relu", "relu"),
                ("node_conv2d_2", "conv2d_2"),
                ("node_add", "add"),
                ("node_relu_1", "relu_1"),
                ("node_mean", "mean"),
                ("node_view", "view"),
                ("node_linear", "linear"),
                ("node_", "node_"),
            ],
        );
    }

    /// tf2onnx, from a saved model and from a Keras model.
    #[test]
    fn names_of_tensorflow_lose_what_they_share() {
        check(
            16,
            &[
                ("StatefulPartitionedCall/model/conv2d_1/Conv2D", "conv2d_1"),
                ("StatefulPartitionedCall/model/conv2d_1/BiasAdd", "conv2d_1/BiasAdd"),
                ("StatefulPartitionedCall/model/block1/conv2d_1/Conv2D", "block1/conv2d_1"),
                ("StatefulPartitionedCall/model/block2/conv2d_1/Conv2D", "block2/conv2d_1"),
                ("StatefulPartitionedCall/model/dense/MatMul/ReadVariableOp/resource", "dense"),
                ("Identity", "Identity"),
            ],
        );
        check(
            16,
            &[
                ("mobilenet_1.00_96/conv1/Conv2D__12", "conv1"),
                ("mobilenet_1.00_96/conv_dw_1/depthwise", "conv_dw_1"),
                ("mobilenet_1.00_96/conv_pw_1/Conv2D__30", "conv_pw_1"),
                ("mobilenet_1.00_96/conv_pw_13/Conv2D", "conv_pw_13"),
            ],
        );
    }

    #[test]
    fn names_of_keras_stay() {
        check(
            16,
            &[
                ("conv2d_1", "conv2d_1"),
                ("max_pooling2d_1", "max_pooling2d_1"),
                ("block_13_depthwise", "block_13_depthwi"),
                ("block_13_project", "block_13_project"),
                ("add", "add"),
            ],
        );
    }

    #[test]
    fn a_text_behind_a_name_stays() {
        let names = ShortNames::new(["model/a/Conv2D", "model/b/Conv2D"], 8);
        assert_eq!(names.get("model/a/Conv2D (working memory)"), "a (working memory)");
        assert_eq!(names.get("other (working memory)"), "other (working memory)");
    }

    #[test]
    fn names_that_look_alike_are_numbered() {
        check(
            16,
            &[
                ("conv", "conv"),
                ("conv ", "conv…2"),
                ("conv\t", "conv…3"),
                ("", "unnamed"),
                (" ", "unnamed…2"),
                ("a\nb", "a b"),
                ("a\u{200b}b", "a?b"),
                ("/", "/"),
                ("//", "//"),
            ],
        );
    }

    #[test]
    fn names_that_differ_nowhere_visible_are_numbered() {
        let names: Vec<String> =
            (0..300).map(|i| format!("{}{i:03}{}", "a".repeat(30), "b".repeat(30))).collect();
        let short = ShortNames::new(names.iter().map(String::as_str), 8);
        let all: BTreeSet<String> = names.iter().map(|name| short.get(name)).collect();
        assert_eq!(all.len(), 300);
        assert!(all.iter().all(|name| name.chars().count() <= 8), "{all:?}");
    }

    fn segment() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                "StatefulPartitionedCall",
                "model",
                "block1",
                "block1.0",
                "conv2d_1",
                "conv",
                "Conv",
                "Conv2D",
                "BiasAdd",
                "Add",
                "node_conv",
                "ReadVariableOp",
                "resource",
                "x__1",
                "x:0",
                "x_output_0",
                "…",
                "…2",
                " ",
                "\n",
                "畳み込み",
                "unnamed",
                "",
            ])
            .prop_map(str::to_owned),
            "[a-c_.0-2é]{0,20}",
        ]
    }

    proptest! {
        #[test]
        fn distinct_names_stay_distinct_and_fit(
            names in prop::collection::btree_set(
                prop::collection::vec(segment(), 1..6).prop_map(|segments| segments.join("/")),
                1..24,
            ),
            most in 6_usize..40,
        ) {
            let short = ShortNames::new(names.iter().map(String::as_str), most);
            let all: BTreeSet<String> = names.iter().map(|name| short.get(name)).collect();
            prop_assert_eq!(all.len(), names.len());
            for name in &names {
                let text = short.get(name);
                prop_assert!(text_width(&text) <= most, "{} {}", name, text);
                prop_assert!(!text.trim().is_empty() && !text.contains('\n'), "{} {}", name, text);
            }
        }
    }
}
