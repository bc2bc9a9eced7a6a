//! Which tables this CPU can run.

use crate::table::{Kernels, SCALAR};

impl Kernels {
    /// Every table this CPU can run, best first; the last one is the scalar specification.
    pub fn all() -> impl Iterator<Item = &'static Kernels> {
        [
            #[cfg(target_arch = "x86_64")]
            crate::x86_64::avx512::kernels(),
            #[cfg(target_arch = "x86_64")]
            crate::x86_64::avxvnni::kernels(),
            #[cfg(target_arch = "x86_64")]
            crate::x86_64::avx2::kernels(),
            Some(&SCALAR),
        ]
        .into_iter()
        .flatten()
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
