//! What an operator says about itself, and any operator as a value: the graph and what rewrites and
//! runs it know operators by this contract, their files are in `ops`.

use crate::{
    error::LowerError,
    expression::Expression,
    fixed_operator::FixedOp,
    lower::context::LowerContext,
    object::Object,
    parameters::{Parameters, ParametersMut},
    scale_shift::ScaleShift,
    shape::{Activation, Shape},
};
use fixedwise_kernels::{Kernels, Scratch};
use std::{any::Any, ops::Deref, sync::Arc};

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
pub trait Operator: OperatorObject {
    /// Its name, that of the ONNX operator where there is one.
    fn name(&self) -> &'static str;

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

    /// Where the format of its value comes from in integer semantics.
    fn format_rule(&self) -> FormatRule;

    /// Whether its value is nowhere negative; `inputs` where none of what it takes is.
    fn is_nonnegative(&self, inputs: bool) -> bool;

    /// What the value at that position of its inputs is to it.
    fn edge(&self, input: usize) -> Edge;

    /// What becomes of a factor above zero of one channel of the value at that position.
    fn factor(&self, input: usize, inputs: &[Shape], output: Shape) -> Factor;

    /// The operator that computes from unscaled values what this one computes from scaled and shifted
    /// ones: `before` has what stands before each input, at those alone whose factors it does not
    /// refuse. Where it carries factors, the scale and shift stand behind it then.
    ///
    /// Without one, a scale and shift stays where it is, as a convolution of its own.
    fn unscaled(
        &self,
        before: &[Option<&ScaleShift>],
        inputs: &[Shape],
        output: Shape,
    ) -> Option<Op> {
        let _ = (before, inputs, output);
        None
    }

    /// The operator that computes the same of values that lack some channels: `dropped` tells them of each input, `own` of
    /// its value, and `inputs` has the extents before. All elements of a channel go.
    ///
    /// Without one, every channel stays.
    fn without_channels(&self, dropped: &[&[bool]], own: &[bool], inputs: &[Shape]) -> Option<Op> {
        let _ = (dropped, own, inputs);
        None
    }

    /// What it multiplies with and adds, where it is a layer: a node whose weights a plan gives a
    /// format.
    fn parameters(&self) -> Option<Parameters<'_>> {
        None
    }

    /// The numbers of [`Operator::parameters`], to change: a layer has both.
    fn parameters_mut(&mut self) -> Option<ParametersMut<'_>> {
        None
    }

    /// The function of one element it is, where it may be computed inside the node before it.
    fn as_activation(&self) -> Option<Activation> {
        None
    }

    /// The function of the elements at one place of its inputs, where it computes nothing else as long as
    /// all have the extents of its value.
    fn as_element_function(&self) -> Option<Expression> {
        None
    }

    /// What it makes of the scores of classes, where that is their probability: at the end of a network it
    /// does not change which class is likeliest.
    fn as_likelihood(&self) -> Option<Likelihood> {
        None
    }

    /// Why it has no form in integers, where it has none, and the way out.
    fn no_integer_form(&self) -> Option<&'static str> {
        None
    }

    /// Whether its value, at the end of a network with such an image, only says again which class is the
    /// largest, so that it is left out.
    fn ends_classifier(&self, image: Shape, value: Shape) -> bool {
        let _ = (image, value);
        self.as_likelihood().is_some()
    }

    /// Multiplications of what it takes by each other for one value; zero where constants alone multiply.
    fn products(&self, inputs: &[Shape], output: Shape) -> u64 {
        let _ = (inputs, output);
        0
    }

    /// Whether a following activation may be computed inside it.
    fn takes_activation(&self) -> bool {
        false
    }

    /// Whether a second value may be added to its sums, before its activation: an input that is [`Edge::Residual`].
    fn takes_residual(&self) -> bool {
        false
    }

    /// How gradients pass it, where it says that itself: a function of elements need not. Networks with an
    /// operator that says nothing are not tuned.
    fn as_backward(&self) -> Option<&dyn Backward> {
        None
    }

    /// Whether its float step takes the values of up to 8 images, one after the other, and gives theirs.
    fn takes_several(&self, inputs: &[Shape], output: Shape) -> bool {
        let _ = (inputs, output);
        false
    }
}

/// The gradients of what a node takes; they are added to.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of each input; none where nobody wants it.
    pub inputs: Vec<Option<&'a mut [f32]>>,
    /// Of the weights of a layer, in its own order; empty of any other node.
    pub weights: &'a mut [f32],
    /// Of its bias, `[class of positions, output channel]`, as [`Parameters::border_bias`] has it.
    pub bias: &'a mut [f32],
}

/// From the values of the inputs of one or several images and the gradient of what the operator computes of
/// them, before any activation, to the gradients of what it took.
pub type BackwardStep = Box<dyn Fn(&[&[f32]], &[f32], &mut Gradients) + Send + Sync>;

/// An operator that gradients can pass.
pub trait Backward {
    /// Ready to run. The activation of the context is the caller's: the gradient is that of what is given to it.
    fn prepare_backward(&self, context: &Context, kernels: &'static Kernels) -> BackwardStep;
}

/// What the probability of a class is given as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// As it is, from 0 to 1.
    Probability,
    /// As its logarithm.
    Logarithm,
    /// That of each class alone, from 0 to 1: `1 / (1 + exp(-x))`.
    Each,
}

/// Where the format of a value comes from in integer semantics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatRule {
    /// It is the image's.
    Image,
    /// It is the value's own: a plan must name one, a search chooses it.
    Own,
    /// It is the value's own, and a search chooses it; in a plan that names none it follows from those of the inputs.
    OwnOr(Derivation),
    /// It follows from those of the inputs; a plan may name another.
    Derived(Derivation),
    /// It is always that of the main input.
    Input,
    /// As [`FormatRule::Input`]: its elements are some of those of the main input.
    Moved,
}

/// How a format follows from those of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// That of the main input.
    Same,
    /// That of the main input, without its sign.
    Unsigned,
    /// The finest and widest of all, so that each fits without loss where 16 bits allow.
    Lossless,
}

/// What a value is to the operator that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// What it computes its value from; a layer has one, which its weights multiply.
    Main,
    /// It is added to the result of a layer.
    Residual,
    /// It steers how the main value is computed.
    Side,
}

/// What becomes of a factor above zero of one channel of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    /// The weights that multiply the channel take it up.
    Absorbed,
    /// Channels of the value have it: by output channel, the channel of this input it comes from.
    Carried(Vec<Option<usize>>),
    /// The value would be another.
    Refused,
}

impl Factor {
    /// Carried by an operator that works on each channel alone.
    pub fn carried(output: Shape) -> Self {
        Self::Carried((0..output.c).map(Some).collect())
    }
}

/// What an operator needs to stand in an [`Op`] beside being plain data: a copy. All that can be cloned
/// have it.
pub trait OperatorObject: Object {
    /// An operator with the same attributes.
    fn to_op(&self) -> Op;
}

impl<T: Operator + Clone + PartialEq> OperatorObject for T {
    fn to_op(&self) -> Op {
        Op::from(self.clone())
    }
}

/// Any operator. Clones share its attributes until one of them changes.
#[derive(Clone, Debug)]
pub struct Op(Arc<dyn Operator>);

impl Op {
    /// Whether it is that operator.
    pub fn is<T: Operator>(&self) -> bool {
        self.get::<T>().is_some()
    }

    /// Its attributes, where it is that operator.
    pub fn get<T: Operator>(&self) -> Option<&T> {
        let operator: &dyn Any = &*self.0;
        operator.downcast_ref()
    }

    /// Its attributes to change, where it is that operator.
    pub fn get_mut<T: Operator>(&mut self) -> Option<&mut T> {
        if !self.is::<T>() {
            return None;
        }
        let operator: &mut dyn Any = self.edit();
        operator.downcast_mut()
    }

    /// What it multiplies with and adds, to change, where it is a layer.
    ///
    /// # Panics
    /// Where the operator gives its parameters but does not let them be changed.
    pub fn parameters_mut(&mut self) -> Option<ParametersMut<'_>> {
        self.is_layer().then(|| {
            self.edit().parameters_mut().expect("what has parameters lets them be changed")
        })
    }

    /// Its weights, where it is a layer.
    pub fn weights(&self) -> Option<&[f32]> {
        self.parameters().map(|parameters| parameters.weights)
    }

    /// Its bias, one for each output channel, where it is a layer.
    pub fn bias(&self) -> Option<&[f32]> {
        self.parameters().map(|parameters| parameters.bias)
    }

    /// Whether it holds weights that a plan gives a format.
    pub fn is_layer(&self) -> bool {
        self.parameters().is_some()
    }

    /// Whether its value has a format of its own, which a search chooses.
    pub fn has_own_format(&self) -> bool {
        matches!(self.format_rule(), FormatRule::Own | FormatRule::OwnOr(_))
    }

    /// Whether its value is the image.
    pub fn is_input(&self) -> bool {
        self.format_rule() == FormatRule::Image
    }

    /// The operator to change, this value's alone.
    fn edit(&mut self) -> &mut dyn Operator {
        if Arc::get_mut(&mut self.0).is_none() {
            self.0 = self.0.to_op().0;
        }
        Arc::get_mut(&mut self.0).expect("what was just cloned is not shared")
    }
}

impl<T: Operator> From<T> for Op {
    fn from(operator: T) -> Self {
        Self(Arc::new(operator))
    }
}

impl Deref for Op {
    type Target = dyn Operator;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for Op {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0)
    }
}
