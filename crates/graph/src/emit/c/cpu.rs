//! What compiles printed C, and for which processor.

/// A processor that code is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// Cortex-M0, M0+ and M1: Thumb without division.
    CortexM0,
    /// Cortex-M3: Thumb-2.
    CortexM3,
    /// Cortex-M4, M7 and M33: Thumb-2 with the DSP extension.
    CortexM4,
    /// Cortex-M55: with vectors too.
    CortexM55,
    /// RISC-V with multiplication and compressed instructions.
    Rv32imc,
}

impl Cpu {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] =
        [Self::CortexM0, Self::CortexM3, Self::CortexM4, Self::CortexM55, Self::Rv32imc];

    /// As target profiles and the table call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CortexM0 => "cortex-m0",
            Self::CortexM3 => "cortex-m3",
            Self::CortexM4 => "cortex-m4",
            Self::CortexM55 => "cortex-m55",
            Self::Rv32imc => "rv32imc",
        }
    }
}

/// What a compiler is told to make small: time or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Optimization {
    /// `-O2`.
    #[default]
    Speed,
    /// `-Os`.
    Size,
}

impl Optimization {
    /// Both, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Size, Self::Speed];

    /// The flag of compilers.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Speed => "-O2",
            Self::Size => "-Os",
        }
    }
}
