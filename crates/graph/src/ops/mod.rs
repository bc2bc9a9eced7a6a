//! The operators, one file each; this list and the import table are the only other places that
//! know them.

use crate::import::{
    keras::{
        activation::activation_layer,
        layer::{ImportLayer, MakeOp},
    },
    onnx::reader::ImportNode,
};

mod add;
mod affine;
mod average_pool;
mod batch_normalization;
mod cast;
mod clip;
mod concat;
mod conv;
mod element_wise;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod identity;
mod input;
mod leaky_relu;
mod log_softmax;
mod max;
mod max_pool;
mod min;
mod mul;
mod pad;
mod reduce;
mod relu;
mod reshape;
mod sigmoid;
mod softmax;
mod sub;
mod transpose;
mod with_constant;

pub use add::Add;
pub use affine::Affine;
pub use average_pool::AveragePool;
pub use clip::Clip;
pub use concat::Concat;
pub use conv::Conv;
pub use gemm::Gemm;
pub use global_average_pool::GlobalAveragePool;
pub use global_max_pool::GlobalMaxPool;
pub use input::Input;
pub use leaky_relu::LeakyRelu;
pub use log_softmax::LogSoftmax;
pub use max::Max;
pub use max_pool::MaxPool;
pub use min::Min;
pub use mul::Mul;
pub use pad::Pad;
pub use relu::Relu;
pub use reshape::Reshape;
pub use sigmoid::Sigmoid;
pub use softmax::Softmax;
pub use sub::Sub;
pub use with_constant::WithConstant;

pub use crate::window::Window;
pub use average_pool::FixedAveragePool;
pub use concat::FixedConcat;
pub use conv::FixedConv;
pub use element_wise::FixedElementWise;
pub use input::FixedInput;
pub use max_pool::FixedMaxPool;
pub use pad::FixedPad;
pub use relu::FixedRescale;
pub use reshape::FixedReshape;
pub use with_constant::FixedWithConstant;

/// ONNX operators and who reads them, in alphabetical order.
pub(crate) const ONNX: &[(&str, ImportNode)] = &[
    ("Add", add::import),
    ("AveragePool", average_pool::import),
    ("BatchNormalization", batch_normalization::import),
    ("Cast", cast::import),
    ("Clip", clip::import),
    ("Concat", concat::import),
    ("Conv", conv::import),
    ("Div", affine::import_div),
    ("Dropout", identity::import_dropout),
    ("Flatten", reshape::import_flatten),
    ("Gemm", gemm::import),
    ("GlobalAveragePool", global_average_pool::import),
    ("GlobalMaxPool", global_max_pool::import),
    ("Identity", identity::import),
    ("LeakyRelu", leaky_relu::import),
    ("LogSoftmax", log_softmax::import),
    ("MatMul", gemm::import_matmul),
    ("Max", max::import),
    ("MaxPool", max_pool::import),
    ("Mean", add::import_mean),
    ("Min", min::import),
    ("Mul", mul::import),
    ("Pad", pad::import),
    ("ReduceMax", reduce::import_max),
    ("ReduceMean", reduce::import_mean),
    ("ReduceMin", reduce::import_min),
    ("ReduceSum", reduce::import_sum),
    ("Relu", relu::import),
    ("Reshape", reshape::import),
    ("Sigmoid", sigmoid::import),
    ("Softmax", softmax::import),
    ("Squeeze", reshape::import_squeeze),
    ("Sub", sub::import),
    ("Sum", add::import_sum),
    ("Transpose", transpose::import),
    ("Unsqueeze", reshape::import_unsqueeze),
];

/// Keras layers and who reads them, in alphabetical order.
pub(crate) const KERAS: &[(&str, ImportLayer)] = &[
    ("Activation", activation_layer),
    ("ActivityRegularization", identity::from_keras),
    ("Add", add::from_keras),
    ("AlphaDropout", identity::from_keras),
    ("Average", add::from_keras_average),
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
    ("Maximum", max::from_keras),
    ("Minimum", min::from_keras),
    ("Multiply", mul::from_keras),
    ("ReLU", relu::from_keras),
    ("Rescaling", affine::from_keras),
    ("Reshape", reshape::from_keras),
    ("SeparableConv2D", conv::from_keras_separable),
    ("Softmax", softmax::from_keras),
    ("SpatialDropout2D", identity::from_keras),
    ("Subtract", sub::from_keras),
    ("ZeroPadding2D", pad::from_keras),
];

/// The activation functions of Keras by name; `None` is the identity.
pub(crate) const KERAS_FUNCTIONS: &[(&str, MakeOp)] = &[
    ("linear", || None),
    ("relu", || Some(Relu.into())),
    ("relu6", || Some(Clip { min: 0.0, max: 6.0 }.into())),
    // The slope that Keras takes where only the name is given.
    ("leaky_relu", || Some(LeakyRelu { alpha: 0.2 }.into())),
    ("sigmoid", || Some(Sigmoid.into())),
    ("softmax", || Some(Softmax.into())),
    ("log_softmax", || Some(LogSoftmax.into())),
];
