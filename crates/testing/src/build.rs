//! Small graphs with random weights.

use crate::Random;
use fixedwise_graph::{
    Activation, Graph, Node, NodeId, Op, Shape,
    ops::{
        Add, Affine, AveragePool, Clip, Concat, Conv, Gemm, GlobalAveragePool, IndexMap, Input,
        LayerNormalization, LeakyRelu, MatMul, Max, MaxPool, Min, Mul, Pad, Relu, Softmax, Sub,
        Window, WithConstant,
    },
};
use fixedwise_kernels::Function;

/// A square window, the same padding on every side.
pub fn window(kernel: usize, stride: usize, pad: usize) -> Window {
    Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad_begin: [pad; 2],
        pad_end: [pad; 2],
        ceil: false,
    }
}

/// Builds a graph node by node.
#[derive(Debug)]
pub struct Build {
    nodes: Vec<Node>,
    /// Where the weights come from.
    pub random: Random,
}

impl Build {
    /// A graph that takes images of that shape.
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut build = Self { nodes: Vec::new(), random: Random::new(seed) };
        build.push("input", Input { shape }, vec![]);
        build
    }

    /// Extents of a value.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.nodes[id].shape
    }

    /// Adds a node.
    ///
    /// # Panics
    /// Where the operator refuses its inputs.
    pub fn push(&mut self, name: &str, op: impl Into<Op>, inputs: Vec<NodeId>) -> NodeId {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.nodes[input].shape).collect();
        let shape = op.infer(&shapes).expect("the test's graph is valid");
        let activation = Activation::None;
        self.nodes.push(Node { name: name.to_owned(), op, inputs, activation, shape });
        self.nodes.len() - 1
    }

    /// A convolution with random weights.
    pub fn conv(
        &mut self,
        name: &str,
        input: NodeId,
        channels: usize,
        window: &Window,
        groups: usize,
    ) -> NodeId {
        let per_group = self.shape(input).c / groups;
        let n = channels * window.kernel[0] * window.kernel[1] * per_group;
        let op = Conv {
            window: window.clone(),
            groups,
            channels,
            weights: self.random.floats(n, -0.5, 0.5),
            bias: self.random.floats(channels, -0.5, 0.5),
            tap_bias: vec![],
        };
        self.push(name, op, vec![input])
    }

    /// A convolution whose weights are zero, a value or its negative.
    pub fn conv_of_three(
        &mut self,
        name: &str,
        input: NodeId,
        channels: usize,
        window: &Window,
        value: f32,
    ) -> NodeId {
        let n = channels * window.kernel[0] * window.kernel[1] * self.shape(input).c;
        let of = |x: f32| if x.abs() < 0.3 { 0.0 } else { x.signum() * value };
        let op = Conv {
            window: window.clone(),
            groups: 1,
            channels,
            weights: self.random.floats(n, -1.0, 1.0).into_iter().map(of).collect(),
            bias: self.random.floats(channels, -0.5, 0.5),
            tap_bias: vec![],
        };
        self.push(name, op, vec![input])
    }

    /// A scale (negative in some channels) and a shift.
    pub fn affine(&mut self, name: &str, input: NodeId) -> NodeId {
        let c = self.shape(input).c;
        let mut numbers =
            |low, high| self.random.floats(c, low, high).into_iter().map(f64::from).collect();
        let op = Affine { scale: numbers(-1.5, 2.0), shift: numbers(-1.0, 1.0) };
        self.push(name, op, vec![input])
    }

    /// A function of a value and random numbers.
    fn constant(
        &mut self,
        name: &str,
        function: Function,
        extents: Shape,
        is_first: bool,
        input: NodeId,
    ) -> NodeId {
        let constant = self.random.floats(extents.len(), -1.2, 1.5).into();
        self.push(name, WithConstant { function, constant, extents, is_first }, vec![input])
    }

    /// A dense layer with random weights.
    pub fn gemm(&mut self, name: &str, input: NodeId, outputs: usize) -> NodeId {
        let inputs = self.shape(input).c;
        let op = Gemm {
            weights: self.random.floats(inputs * outputs, -0.5, 0.5),
            bias: self.random.floats(outputs, -0.5, 0.5),
        };
        self.push(name, op, vec![input])
    }

    /// An image of 10 x 9 x 3 through every operator that has an integer form but the global ones and
    /// a dense layer, with borders that have a bias of their own; gives the last node.
    pub fn operators() -> (Self, NodeId) {
        let mut b = Self::new(Shape::new(10, 9, 3), 21);
        let x = b.conv("conv/1", 0, 8, &window(3, 1, 1), 1);
        let x = b.push("relu_1", Relu, vec![x]);
        let x = b.affine("bn_1", x);
        let x = b.push("max", MaxPool { window: window(2, 2, 0), minimum: vec![] }, vec![x]);
        let skip = b.conv("depthwise", x, 8, &window(3, 1, 1), 8);
        let skip = b.push("leaky", LeakyRelu { alpha: 0.1 }, vec![skip]);
        let other = b.conv("conv_2", x, 8, &window(3, 1, 1), 2);
        let other = b.push("clip", Clip { min: 0.0, max: 1.0 }, vec![other]);
        let x = b.push("add", Add, vec![skip, other]);
        let x = b.push("pad", Pad { begin: [1, 0], end: [0, 1], value: 0.25 }, vec![x]);
        let average = AveragePool { window: window(3, 2, 1), include_pad: false };
        let a = b.push("average", average, vec![x]);
        let m = b.push("max_2", MaxPool { window: window(3, 2, 1), minimum: vec![] }, vec![x]);
        let x = b.push("concat", Concat { axis: 2 }, vec![a, m]);
        (b, x)
    }

    /// An image of 6 x 5 x 3 through every function of two values, alike and with extents of one on either
    /// side: a gate of channels, a map, one value, a row and a column, and constants; gives the last node, a
    /// vector.
    pub fn pairs() -> (Self, NodeId) {
        let mean = |kernel: [usize; 2]| AveragePool {
            window: Window { kernel, ..Window::pixel() },
            include_pad: false,
        };
        let mut b = Self::new(Shape::new(6, 5, 3), 31);
        let x = b.conv("left", 0, 4, &window(3, 1, 1), 1);
        let x = b.push("relu", Relu, vec![x]);
        let y = b.conv("right", 0, 4, &window(1, 1, 0), 1);
        let pooled = b.push("pooled", GlobalAveragePool, vec![x]);
        let gate = b.gemm("gate", pooled, 4);
        let gate = b.push("hard_gate", Clip { min: 0.0, max: 1.0 }, vec![gate]);
        let one = b.gemm("one", pooled, 1);
        let map = b.conv("map", x, 1, &window(1, 1, 0), 1);
        let row = b.push("row", mean([6, 1]), vec![y]);
        let column = b.push("column", mean([1, 5]), vec![y]);
        let z = b.push("mul_gate", Mul, vec![x, gate]);
        let z = b.push("mul_map", Mul, vec![map, z]);
        let z = b.push("sub", Sub, vec![z, y]);
        let z = b.push("max_one", Max, vec![one, z]);
        let z = b.push("min_row", Min, vec![z, row]);
        let z = b.push("clip", Clip { min: -1.0, max: 1.0 }, vec![z]);
        let cross = b.push("cross", Add, vec![row, column]);
        let cross = b.push("add", Add, vec![cross, y]);
        let z = b.push("mul", Mul, vec![z, cross]);
        let z = b.push("max", Max, vec![z, y]);
        let z = b.push("min", Min, vec![x, z]);
        let z = b.constant("mul_constant", Function::Mul, Shape::new(6, 5, 1), false, z);
        let z = b.constant("sub_constant", Function::Sub, Shape::new(6, 5, 4), true, z);
        let z = b.constant("max_constant", Function::Max, Shape::new(1, 5, 4), false, z);
        let z = b.constant("min_constant", Function::Min, Shape::new(6, 1, 4), true, z);
        let z = b.push("sub_gate", Sub, vec![gate, z]);
        let z = b.push("leaky", LeakyRelu { alpha: 0.1 }, vec![z]);
        let z = b.push("last_pool", GlobalAveragePool, vec![z]);
        let z = b.push("vectors", Mul, vec![z, gate]);
        let z = b.constant("add_constant", Function::Add, Shape::vector(4), false, z);
        (b, z)
    }

    /// An image of 4 x 3 x 5 through attention over its pixels in two heads: products of two values, one with a
    /// factor and one without, softmax over rows of 12 and of 4; gives the last node, an image.
    pub fn attention() -> (Self, NodeId) {
        let mut b = Self::new(Shape::new(4, 3, 5), 51);
        let x = b.conv("qkv", 0, 20, &window(1, 1, 0), 1);
        // Matrices, their rows and elements, from channels `start` on: one matrix takes so many of them.
        let part = |b: &mut Self, name: &str, start: usize, elements: usize, is_turned: bool| {
            let pixels: Vec<Option<usize>> = (0..12).map(|pixel| Some(pixel * 20)).collect();
            let own: Vec<Option<usize>> = (0..elements).map(Some).collect();
            let rows = (0..2).map(|head| Some(start + head * elements)).collect();
            let (columns, channels) = if is_turned { (own, pixels) } else { (pixels, own) };
            b.push(name, IndexMap { rows, columns, channels }, vec![x])
        };
        let q = part(&mut b, "q", 0, 3, false);
        let k = part(&mut b, "k", 6, 3, false);
        let v = part(&mut b, "v", 12, 4, true);
        let scores = b.push("scores", MatMul { factor: 3_f64.sqrt().recip() }, vec![q, k]);
        let weights = b.push("weights", Softmax, vec![scores]);
        let y = b.push("attended", MatMul { factor: 1.0 }, vec![weights, v]);
        let y = b.push("classes", Softmax, vec![y]);
        let y = b.push("halved", MatMul { factor: -0.5 }, vec![y, y]);
        (b, y)
    }

    /// An image of 4 x 3 x 5 through normalizations over its channels, with a mean and without; gives the last node, an
    /// image.
    pub fn normalizations() -> (Self, NodeId) {
        let mut b = Self::new(Shape::new(4, 3, 5), 61);
        let x = b.conv("first", 0, 6, &window(1, 1, 0), 1);
        let centered = LayerNormalization { epsilon: 1e-5, is_centered: true };
        let x = b.push("centered", centered, vec![x]);
        let x = b.affine("scale", x);
        let x = b.conv("second", x, 7, &window(1, 1, 0), 1);
        let x = b.push("relu", Relu, vec![x]);
        let plain = LayerNormalization { epsilon: 0.1, is_centered: false };
        let x = b.push("plain", plain, vec![x]);
        (b, x)
    }

    /// An image of 8 x 7 x 3 through sums of layers' values and others: convolutions of every kind, one whose bias
    /// depends on the border, dense layers, every activation; gives the last node, a vector.
    pub fn residuals() -> (Self, NodeId) {
        let mut b = Self::new(Shape::new(8, 7, 3), 71);
        let x = b.conv("stem", 0, 6, &window(3, 1, 1), 1);
        let x = b.push("stem_relu", Relu, vec![x]);
        let y = b.conv("full", x, 6, &window(3, 1, 1), 1);
        let y = b.push("sum_full", Add, vec![y, x]);
        let x = b.push("relu", Relu, vec![y]);
        let short = b.conv("short", x, 8, &window(1, 2, 0), 1);
        let y = b.conv("strided", x, 8, &window(3, 2, 1), 1);
        let y = b.push("sum_strided", Add, vec![short, y]);
        let x = b.push("clip", Clip { min: 0.0, max: 1.5 }, vec![y]);
        let y = b.conv("depthwise", x, 8, &window(3, 1, 1), 8);
        let y = b.push("sum_depthwise", Add, vec![x, y]);
        let x = b.push("leaky", LeakyRelu { alpha: 0.1 }, vec![y]);
        let y = b.conv("narrow", x, 5, &window(1, 1, 0), 1);
        let x = b.push("narrow_relu", Relu, vec![y]);
        let y = b.affine("shifted", x);
        let y = b.conv("border", y, 5, &window(3, 1, 1), 1);
        let x = b.push("sum_border", Add, vec![y, x]);
        let y = b.conv("pixel", x, 5, &window(1, 1, 0), 1);
        let x = b.push("sum_pixel", Add, vec![y, x]);
        let y = b.conv("grouped", x, 10, &window(3, 1, 1), 5);
        let other = b.conv("wide", x, 10, &window(1, 1, 0), 1);
        let x = b.push("sum_grouped", Add, vec![other, y]);
        let x = b.push("mean", GlobalAveragePool, vec![x]);
        let first = b.gemm("first", x, 6);
        let first = b.push("first_relu", Relu, vec![first]);
        let y = b.gemm("dense", first, 6);
        let y = b.push("sum_dense", Add, vec![first, y]);
        let y = b.push("dense_relu", Relu, vec![y]);
        (b, y)
    }

    /// The graph whose result is the last node's value.
    ///
    /// # Panics
    /// Where a name stands twice.
    pub fn finish(self) -> Graph {
        let output = self.nodes.len() - 1;
        let mut graph = Graph::new("test", self.nodes, output);
        graph.infer().expect("the test's graph is valid");
        graph
    }
}
