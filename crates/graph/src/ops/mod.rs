//! The operators, one file each; this list and the import table are the only other places that
//! know them.

use crate::import::{
    keras::{
        activation::activation_layer,
        layer::{ImportLayer, MakeOp},
    },
    onnx::reader::ImportNode,
};
use crate::{
    expression::{Expression, Unary},
    operator::Op,
};
use function::definitions as define;

mod add;
mod affine;
mod arrange;
mod average_pool;
mod batch_normalization;
mod cast;
mod clip;
mod concat;
mod constant;
mod conv;
mod conv_transpose;
mod depth_to_space;
mod element_wise;
mod function;
mod gather;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod identity;
mod index_map;
mod input;
mod layer_normalization;
mod leaky_relu;
mod lifted_function;
mod log_softmax;
mod mat_mul;
mod max;
mod max_pool;
mod min;
mod mul;
mod p_relu;
mod pad;
mod pair;
mod quantize;
mod reduce;
mod relu;
mod reshape;
mod resize;
mod sigmoid;
mod slice;
mod softmax;
mod sub;
mod tile;
mod transpose;
mod with_constant;

pub use add::Add;
pub use affine::Affine;
pub use average_pool::AveragePool;
pub use clip::Clip;
pub use concat::Concat;
pub use constant::Constant;
pub use conv::Conv;
pub use function::Function;
pub use gemm::Gemm;
pub use global_average_pool::GlobalAveragePool;
pub use global_max_pool::GlobalMaxPool;
pub use index_map::IndexMap;
pub use input::Input;
pub use layer_normalization::LayerNormalization;
pub use leaky_relu::LeakyRelu;
pub use lifted_function::LiftedFunction;
pub use log_softmax::LogSoftmax;
pub use mat_mul::MatMul;
pub use max::Max;
pub use max_pool::MaxPool;
pub use min::Min;
pub use mul::Mul;
pub use p_relu::PRelu;
pub use pad::Pad;
pub use pair::Pair;
pub use relu::Relu;
pub use reshape::Reshape;
pub use resize::{Between, Resize};
pub use sigmoid::Sigmoid;
pub use softmax::Softmax;
pub use sub::Sub;
pub use with_constant::WithConstant;

pub use crate::window::Window;
pub use average_pool::FixedAveragePool;
pub use concat::FixedConcat;
pub use constant::FixedConstant;
pub use conv::FixedConv;
pub use element_wise::FixedElementWise;
pub use function::{FixedFunction, Table};
pub use index_map::FixedIndexMap;
pub use input::FixedInput;
pub use layer_normalization::FixedLayerNormalization;
pub use mat_mul::FixedMatMul;
pub use max_pool::FixedMaxPool;
pub use p_relu::FixedPRelu;
pub use pad::FixedPad;
pub use relu::FixedRescale;
pub use reshape::FixedReshape;
pub use resize::FixedResize;
pub use softmax::FixedSoftmax;
pub use with_constant::FixedWithConstant;

pub(crate) use arrange::moved;

/// ONNX operators and who reads them, in alphabetical order.
pub(crate) const ONNX: &[(&str, ImportNode)] = &[
    ("Abs", function::import),
    ("Acos", function::import),
    ("Acosh", function::import),
    ("Add", add::import),
    ("And", pair::import_and),
    ("Asin", function::import),
    ("Asinh", function::import),
    ("Atan", function::import),
    ("Atanh", function::import),
    ("AveragePool", average_pool::import),
    ("BatchNormalization", batch_normalization::import),
    ("Cast", cast::import),
    ("Ceil", function::import),
    ("Celu", function::import),
    ("Clip", clip::import),
    ("Concat", concat::import),
    ("Conv", conv::import),
    ("ConvTranspose", conv_transpose::import),
    ("Cos", function::import),
    ("Cosh", function::import),
    ("DequantizeLinear", quantize::import_dequantize),
    ("DepthToSpace", depth_to_space::import),
    ("Div", pair::import_div),
    ("Dropout", identity::import_dropout),
    ("Elu", function::import),
    ("Erf", function::import),
    ("Exp", function::import),
    ("Expand", tile::import_expand),
    ("Flatten", reshape::import_flatten),
    ("Floor", function::import),
    ("Gather", gather::import),
    ("GatherND", gather::import_nd),
    ("Gelu", function::import),
    ("Gemm", gemm::import),
    ("GlobalAveragePool", global_average_pool::import),
    ("GlobalMaxPool", global_max_pool::import),
    ("Greater", pair::import_greater),
    ("GreaterOrEqual", pair::import_greater_or_equal),
    ("GroupNormalization", layer_normalization::import_group),
    ("HardSigmoid", function::import),
    ("HardSwish", function::import),
    ("Identity", identity::import),
    ("InstanceNormalization", layer_normalization::import_instance),
    ("LayerNormalization", layer_normalization::import),
    ("LeakyRelu", leaky_relu::import),
    ("Less", pair::import_less),
    ("LessOrEqual", pair::import_less_or_equal),
    ("Log", function::import),
    ("LogSoftmax", log_softmax::import),
    ("LpNormalization", reduce::import_normalization),
    ("MatMul", mat_mul::import),
    ("Max", max::import),
    ("MaxPool", max_pool::import),
    ("Mean", add::import_mean),
    ("Min", min::import),
    ("Mish", function::import),
    ("Mul", mul::import),
    ("Neg", function::import),
    ("Not", pair::import_not),
    ("Or", pair::import_or),
    ("PRelu", p_relu::import),
    ("Pad", pad::import),
    ("Pow", pair::import_pow),
    ("QuantizeLinear", quantize::import_quantize),
    ("RMSNormalization", layer_normalization::import_root_mean_square),
    ("Reciprocal", function::import),
    ("ReduceL1", reduce::import_l1),
    ("ReduceL2", reduce::import_l2),
    ("ReduceLogSum", reduce::import_log_sum),
    ("ReduceLogSumExp", reduce::import_log_sum_exp),
    ("ReduceMax", reduce::import_max),
    ("ReduceMean", reduce::import_mean),
    ("ReduceMin", reduce::import_min),
    ("ReduceSum", reduce::import_sum),
    ("ReduceSumSquare", reduce::import_sum_square),
    ("Relu", relu::import),
    ("Reshape", reshape::import),
    ("Resize", resize::import),
    ("Round", function::import),
    ("Selu", function::import),
    ("Shrink", function::import),
    ("Sigmoid", sigmoid::import),
    ("Sign", function::import),
    ("Sin", function::import),
    ("Sinh", function::import),
    ("Slice", slice::import),
    ("Softmax", softmax::import),
    ("Softplus", function::import),
    ("Softsign", function::import),
    ("SpaceToDepth", depth_to_space::import_space_to_depth),
    ("Split", slice::import_split),
    ("Sqrt", function::import),
    ("Squeeze", reshape::import_squeeze),
    ("Sub", sub::import),
    ("Sum", add::import_sum),
    ("Swish", function::import),
    ("Tan", function::import),
    ("Tanh", function::import),
    ("ThresholdedRelu", function::import),
    ("Tile", tile::import),
    ("Transpose", transpose::import),
    ("Unsqueeze", reshape::import_unsqueeze),
    ("Upsample", resize::import_upsample),
    ("Where", pair::import_where),
];

/// Keras layers and who reads them, in alphabetical order.
pub(crate) const KERAS: &[(&str, ImportLayer)] = &[
    ("Activation", activation_layer),
    ("ActivityRegularization", identity::from_keras),
    ("Add", add::from_keras),
    ("AlphaDropout", identity::from_keras),
    ("Average", add::from_keras_average),
    ("AveragePooling1D", average_pool::from_keras),
    ("AveragePooling2D", average_pool::from_keras),
    ("BatchNormalization", batch_normalization::from_keras),
    ("CenterCrop", identity::from_keras_sized),
    ("Concatenate", concat::from_keras),
    ("Conv1D", conv::from_keras),
    ("Conv1DTranspose", conv_transpose::from_keras_1d),
    ("Conv2D", conv::from_keras),
    ("Conv2DTranspose", conv_transpose::from_keras_2d),
    ("Cropping1D", slice::from_keras_1d),
    ("Cropping2D", slice::from_keras_2d),
    ("CustomScaleLayer", add::from_keras_scaled),
    ("Dense", gemm::from_keras),
    ("DepthwiseConv1D", conv::from_keras_depthwise),
    ("DepthwiseConv2D", conv::from_keras_depthwise),
    ("Dropout", identity::from_keras),
    ("ELU", function::from_keras_elu),
    ("Flatten", reshape::from_keras_flatten),
    ("GaussianDropout", identity::from_keras),
    ("GaussianNoise", identity::from_keras),
    ("GlobalAveragePooling1D", global_average_pool::from_keras),
    ("GlobalAveragePooling2D", global_average_pool::from_keras),
    ("GlobalMaxPooling1D", global_max_pool::from_keras),
    ("GlobalMaxPooling2D", global_max_pool::from_keras),
    ("InputLayer", input::from_keras),
    ("LayerNormalization", layer_normalization::from_keras),
    ("LeakyReLU", leaky_relu::from_keras),
    ("MaxPooling1D", max_pool::from_keras),
    ("MaxPooling2D", max_pool::from_keras),
    ("Maximum", max::from_keras),
    ("Minimum", min::from_keras),
    ("Multiply", mul::from_keras),
    ("Normalization", affine::from_keras_normalization),
    ("PReLU", p_relu::from_keras),
    ("Permute", transpose::from_keras),
    ("RandomBrightness", identity::from_keras_random),
    ("RandomColorDegeneration", identity::from_keras_random),
    ("RandomColorJitter", identity::from_keras_random),
    ("RandomContrast", identity::from_keras_random),
    ("RandomElasticTransform", identity::from_keras_random),
    ("RandomErasing", identity::from_keras_random),
    ("RandomFlip", identity::from_keras_random),
    ("RandomGaussianBlur", identity::from_keras_random),
    ("RandomGrayscale", identity::from_keras_random),
    ("RandomHeight", identity::from_keras_random),
    ("RandomHue", identity::from_keras_random),
    ("RandomInvert", identity::from_keras_random),
    ("RandomPerspective", identity::from_keras_random),
    ("RandomPosterization", identity::from_keras_random),
    ("RandomRotation", identity::from_keras_random),
    ("RandomSaturation", identity::from_keras_random),
    ("RandomSharpness", identity::from_keras_random),
    ("RandomShear", identity::from_keras_random),
    ("RandomTranslation", identity::from_keras_random),
    ("RandomWidth", identity::from_keras_random),
    ("RandomZoom", identity::from_keras_random),
    ("ReLU", relu::from_keras),
    ("RepeatVector", tile::from_keras_repeat_vector),
    ("Rescaling", affine::from_keras),
    ("Reshape", reshape::from_keras),
    ("Resizing", identity::from_keras_sized),
    ("SeparableConv1D", conv::from_keras_separable),
    ("SeparableConv2D", conv::from_keras_separable),
    ("Softmax", softmax::from_keras),
    ("SpatialDropout1D", identity::from_keras),
    ("SpatialDropout2D", identity::from_keras),
    ("Subtract", sub::from_keras),
    ("ThresholdedReLU", function::from_keras_thresholded),
    ("UnitNormalization", reduce::from_keras_unit),
    ("UpSampling1D", resize::from_keras_1d),
    ("UpSampling2D", resize::from_keras_2d),
    ("ZeroPadding1D", pad::from_keras_1d),
    ("ZeroPadding2D", pad::from_keras),
    ("keras.ops.Add", add::from_keras),
    ("keras.ops.Divide", affine::from_keras_divide),
    ("keras.ops.Max", reduce::from_keras_max),
    ("keras.ops.Maximum", max::from_keras),
    ("keras.ops.Mean", reduce::from_keras_mean),
    ("keras.ops.Min", reduce::from_keras_min),
    ("keras.ops.Minimum", min::from_keras),
    ("keras.ops.Multiply", mul::from_keras),
    ("keras.ops.Negative", affine::from_keras_negative),
    ("keras.ops.Subtract", sub::from_keras),
    ("keras.ops.Sum", reduce::from_keras_sum),
    ("keras.ops.TrueDivide", affine::from_keras_divide),
];

/// `alpha` and `gamma` of the scaled exponential linear unit.
const KERAS_SELU: [f64; 2] = [1.673_263_242_354_377_2, 1.050_700_987_355_480_5];

fn function(expression: Expression) -> Op {
    Function { expression }.into()
}

/// Those of [`KERAS_FUNCTIONS`] that were others before Keras 3.
pub(crate) const KERAS_2_FUNCTIONS: &[(&str, MakeOp)] =
    &[("hard_sigmoid", || Some(function(define::hard_sigmoid(0.2, 0.5))))];

/// The activation functions of Keras by name; `None` is the identity.
pub(crate) const KERAS_FUNCTIONS: &[(&str, MakeOp)] = &[
    ("celu", || Some(function(define::celu(1.0)))),
    ("elu", || Some(function(define::elu(1.0)))),
    ("exponential", || Some(function(Expression::x().then(Unary::Exp)))),
    ("gelu", || Some(function(define::gelu()))),
    ("hard_shrink", || Some(function(define::shrink(0.5, 0.0)))),
    ("hard_sigmoid", || Some(function(define::hard_sigmoid_by_six()))),
    ("hard_silu", || Some(function(define::hard_swish()))),
    ("hard_swish", || Some(function(define::hard_swish()))),
    ("hard_tanh", || Some(Clip { min: -1.0, max: 1.0 }.into())),
    // The slope that Keras takes where only the name is given.
    ("leaky_relu", || Some(LeakyRelu { alpha: 0.2 }.into())),
    ("linear", || None),
    ("log_sigmoid", || Some(function(define::log_sigmoid()))),
    ("log_softmax", || Some(LogSoftmax.into())),
    ("mish", || Some(function(define::mish()))),
    ("relu", || Some(Relu.into())),
    ("relu6", || Some(Clip { min: 0.0, max: 6.0 }.into())),
    ("selu", || Some(function(define::selu(KERAS_SELU[0], KERAS_SELU[1])))),
    ("sigmoid", || Some(Sigmoid.into())),
    ("silu", || Some(function(define::silu()))),
    ("soft_shrink", || Some(function(define::shrink(0.5, 0.5)))),
    ("softmax", || Some(Softmax.into())),
    ("softplus", || Some(function(Expression::x().then(Unary::Softplus)))),
    ("softsign", || Some(function(define::softsign()))),
    ("sparse_plus", || Some(function(define::sparse_plus()))),
    ("sparse_sigmoid", || Some(function(define::sparse_sigmoid()))),
    ("squareplus", || Some(function(define::squareplus()))),
    ("swish", || Some(function(define::silu()))),
    ("tanh", || Some(function(Expression::x().then(Unary::Tanh)))),
    ("tanh_shrink", || Some(function(define::tanh_shrink()))),
];
