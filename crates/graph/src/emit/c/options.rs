//! How a network is printed.

use super::{
    cpu::{Cpu, Optimization},
    package::Package,
};

/// What code may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Core {
    /// C99 alone.
    #[default]
    Portable,
    /// With the DSP extension: Cortex-M4, M7, M33.
    Dsp,
    /// With the M-profile vector extension (Helium): Cortex-M55.
    Mve,
}

/// What code is made to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CodeStyle {
    /// Time: kernels made for a core and a layer.
    #[default]
    Fast,
    /// Bytes: plain C that layers share.
    Small,
}

impl CodeStyle {
    /// `fast` or `small`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Small => "small",
        }
    }

    /// What a compiler should optimize for.
    pub const fn optimization(self) -> Optimization {
        match self {
            Self::Fast => Optimization::Speed,
            Self::Small => Optimization::Size,
        }
    }
}

/// Where working memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arena {
    /// The caller gives it: the function is reentrant.
    #[default]
    Caller,
    /// A static array of the file.
    Static,
}

/// How weights are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightStorage {
    /// At the smallest of these widths that holds the format; 8 and 16 are C types, others are
    /// packed into bytes.
    Widths(Vec<u8>),
    /// As a stream at exactly the format's width.
    Exact,
}

/// How the weights of a layer are told apart in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WeightCode {
    /// Each has bits of its own.
    #[default]
    Fields,
    /// Five of three values are digits of a byte: kernels unpack them into working memory.
    Digits,
    /// Frequent ones have short codes: kernels decode them into working memory.
    Codes,
}

/// Where weights lie, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WeightPlace {
    /// Among the constants of the code.
    #[default]
    Constants,
    /// There too, in codes of their frequency where the network takes less flash by it: decoding takes instructions, and
    /// with the kernels for DSP memory.
    Coded,
    /// In a file, which the code is told of when it runs.
    File,
}

/// How a network is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct COptions {
    /// What every name begins with; a C identifier.
    pub name: String,
    /// What code may be used.
    pub core: Core,
    /// What code is made to save.
    pub style: CodeStyle,
    /// The processor whose code is counted.
    pub cpu: Cpu,
    /// How weights are stored.
    pub weights: WeightStorage,
    /// Where they lie.
    pub place: WeightPlace,
    /// Whether intermediate values of at most 4 bits lie two to a byte: half the memory, slower.
    pub packs_activations: bool,
    /// Where working memory comes from.
    pub arena: Arena,
    /// Whether rows flow where that saves memory; else every layer's whole value is held.
    pub flows: bool,
    /// The layout of the files.
    pub package: Package,
}

impl COptions {
    /// For any C compiler: weights of at most 8 bits at their own width, others in 16, the arena given by the caller.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            core: Core::Portable,
            style: CodeStyle::Fast,
            cpu: Cpu::CortexM3,
            weights: WeightStorage::Widths(vec![1, 2, 3, 4, 5, 6, 7, 8, 16]),
            place: WeightPlace::Constants,
            packs_activations: false,
            arena: Arena::Caller,
            flows: true,
            package: Package::Plain,
        }
    }

    /// The bits one weight of a format takes.
    pub(crate) fn stored_weight_bits(&self, bits: u8) -> u8 {
        match &self.weights {
            WeightStorage::Widths(widths) => {
                widths.iter().copied().filter(|&width| width >= bits).min().unwrap_or(16)
            }
            WeightStorage::Exact => bits,
        }
    }
}
