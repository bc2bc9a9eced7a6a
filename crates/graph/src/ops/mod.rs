//! The operators, one file each; this list and the import table are the only other places that
//! know them.

pub use crate::fixed_operator::{FixedOp, FixedOperator, FixedStep, Step};

pub(crate) use crate::fixed_operator::step;

use crate::{
    error::LowerError,
    graph::{Activation, Node, Shape},
    import::{Import, Value, keras},
    lower::LowerContext,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::{Kernels, Scratch};

/// Computes one node in float: the values of its inputs, its own, working memory.
pub type FloatStep = Box<dyn Fn(&[&[f32]], &mut [f32], &mut Scratch) + Send + Sync>;

/// What a node's surroundings tell its operator.
#[derive(Clone, Debug)]
pub struct Context {
    /// Extents of its inputs.
    pub inputs: Vec<Shape>,
    /// Extents of its value.
    pub output: Shape,
    /// Fused into the node.
    pub activation: Activation,
}

/// What every operator says about itself; its attributes are the fields of the struct.
pub trait Operator {
    /// Extents of the value.
    ///
    /// # Errors
    /// What is wrong with the inputs' extents.
    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// The mathematical definition on `[h, w, c]` values, the activation included.
    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep;

    /// The same in integers, for the formats of a plan.
    ///
    /// # Errors
    /// [`LowerError`] where the plan or the operator does not allow it.
    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError>;

    /// Its weights, where it has any.
    fn weights(&self) -> Option<&[f32]> {
        None
    }

    /// Its bias, one for each output channel.
    fn bias(&self) -> Option<&[f32]> {
        None
    }

    /// Whether a following activation may be computed inside it.
    fn takes_activation(&self) -> bool {
        false
    }
}

macro_rules! operators {
    ($($module:ident :: $Op:ident),+ $(,)?) => {
        $(pub use $module::$Op;)+

        /// Any operator; match on it to rewrite graphs.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "documented on each struct")]
        pub enum Op { $($Op($Op)),+ }

        impl Op {
            /// Its name, that of the ONNX operator where there is one.
            pub const fn name(&self) -> &'static str {
                match self { $(Op::$Op(_) => stringify!($Op)),+ }
            }
        }
        $(impl From<$Op> for Op {
            fn from(op: $Op) -> Op { Op::$Op(op) }
        })+
        impl std::ops::Deref for Op {
            type Target = dyn Operator;
            fn deref(&self) -> &Self::Target { match self { $(Op::$Op(op) => op),+ } }
        }
    };
}

// Declared outside the macro: rustfmt does not see modules inside one.
mod add;
mod affine;
mod average_pool;
mod batch_normalization;
mod clip;
mod concat;
mod constant;
mod conv;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod identity;
mod input;
mod leaky_relu;
mod max_pool;
mod pad;
mod relu;
mod reshape;
mod softmax;
mod transpose;
mod window;

operators! {
    add::Add,
    affine::Affine,
    average_pool::AveragePool,
    clip::Clip,
    concat::Concat,
    conv::Conv,
    gemm::Gemm,
    global_average_pool::GlobalAveragePool,
    global_max_pool::GlobalMaxPool,
    input::Input,
    leaky_relu::LeakyRelu,
    max_pool::MaxPool,
    pad::Pad,
    relu::Relu,
    reshape::Reshape,
    softmax::Softmax,
}

pub use add::FixedAdd;
pub use average_pool::FixedAveragePool;
pub use concat::FixedConcat;
pub use conv::FixedConv;
pub use input::FixedInput;
pub use max_pool::FixedMaxPool;
pub use pad::FixedPad;
pub use relu::FixedRescale;
pub use reshape::FixedReshape;
pub use window::Window;

impl Op {
    /// Whether it holds weights that a plan gives a format.
    pub const fn is_layer(&self) -> bool {
        matches!(self, Op::Conv(_) | Op::Gemm(_))
    }
}

/// Takes one ONNX node in.
pub(crate) type ImportNode = fn(&mut Import, &onnx::Node) -> Result<(), crate::ImportError>;

/// ONNX operators and who reads them, in alphabetical order.
pub(crate) const ONNX: &[(&str, ImportNode)] = &[
    ("Add", add::import),
    ("AveragePool", average_pool::import),
    ("BatchNormalization", batch_normalization::import),
    ("Clip", clip::import),
    ("Concat", concat::import),
    ("Constant", constant::import),
    ("ConstantOfShape", constant::import_of_shape),
    ("Conv", conv::import),
    ("Div", affine::import_div),
    ("Dropout", identity::import_dropout),
    ("Flatten", reshape::import_flatten),
    ("Gemm", gemm::import),
    ("GlobalAveragePool", global_average_pool::import),
    ("GlobalMaxPool", global_max_pool::import),
    ("Identity", identity::import),
    ("LeakyRelu", leaky_relu::import),
    ("MatMul", gemm::import_matmul),
    ("MaxPool", max_pool::import),
    ("Mul", affine::import_mul),
    ("Pad", pad::import),
    ("ReduceMean", global_average_pool::import_reduce_mean),
    ("Relu", relu::import),
    ("Reshape", reshape::import),
    ("Softmax", softmax::import),
    ("Squeeze", reshape::import_squeeze),
    ("Sub", affine::import_sub),
    ("Sum", add::import_sum),
    ("Transpose", transpose::import),
    ("Unsqueeze", reshape::import_unsqueeze),
];

/// Takes one Keras layer in: adds its nodes and gives its value.
pub(crate) type ImportLayer = fn(&mut keras::Layer) -> Result<Value, crate::ImportError>;

/// Keras layers and who reads them, in alphabetical order.
pub(crate) const KERAS: &[(&str, ImportLayer)] = &[
    ("Activation", keras::activation_layer),
    ("ActivityRegularization", identity::from_keras),
    ("Add", add::from_keras),
    ("AlphaDropout", identity::from_keras),
    ("AveragePooling2D", average_pool::from_keras),
    ("BatchNormalization", batch_normalization::from_keras),
    ("Concatenate", concat::from_keras),
    ("Conv2D", conv::from_keras),
    ("Dense", gemm::from_keras),
    ("DepthwiseConv2D", conv::from_keras_depthwise),
    ("Dropout", identity::from_keras),
    ("Flatten", reshape::from_keras_flatten),
    ("GaussianDropout", identity::from_keras),
    ("GaussianNoise", identity::from_keras),
    ("GlobalAveragePooling2D", global_average_pool::from_keras),
    ("GlobalMaxPooling2D", global_max_pool::from_keras),
    ("InputLayer", input::from_keras),
    ("LeakyReLU", leaky_relu::from_keras),
    ("MaxPooling2D", max_pool::from_keras),
    ("ReLU", relu::from_keras),
    ("Rescaling", affine::from_keras),
    ("Reshape", reshape::from_keras),
    ("SeparableConv2D", conv::from_keras_separable),
    ("Softmax", softmax::from_keras),
    ("SpatialDropout2D", identity::from_keras),
    ("ZeroPadding2D", pad::from_keras),
];

/// A node of this operator, without name or place, for tests and passes.
pub(crate) fn node(
    name: &str,
    op: impl Into<Op>,
    inputs: Vec<crate::NodeId>,
    shape: Shape,
) -> Node {
    Node { name: name.to_owned(), op: op.into(), inputs, activation: Activation::None, shape }
}
