//! The tables of kernels, one for each instruction set.

/// The kernels of one instruction set.
pub struct Kernels {
    /// The instruction set's name.
    pub name: &'static str,
}

impl Kernels {
    /// Every table this CPU can run, best first; the last one is the scalar specification.
    pub fn all() -> impl Iterator<Item = &'static Kernels> {
        [Some(&SCALAR)].into_iter().flatten()
    }

    /// The best table for this CPU, detected once.
    pub fn best() -> &'static Kernels {
        static BEST: std::sync::LazyLock<&'static Kernels> = std::sync::LazyLock::new(|| {
            Kernels::all().next().expect("the scalar table always runs")
        });
        *BEST
    }

    /// The scalar specification.
    pub fn scalar() -> &'static Kernels {
        &SCALAR
    }
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernels").field("name", &self.name).finish_non_exhaustive()
    }
}

static SCALAR: Kernels = Kernels { name: "scalar" };

/// Memory a kernel works in; one a thread, grown as needed and used again.
#[derive(Default)]
pub struct Scratch {}

impl Scratch {
    /// No memory yet.
    pub fn new() -> Self {
        Scratch::default()
    }
}

impl core::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}
