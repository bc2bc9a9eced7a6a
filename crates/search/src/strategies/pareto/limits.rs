//! The memory that there is.

/// The memory there is; nothing where that is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of constants.
    pub flash_bytes: Option<u64>,
    /// Bytes of working memory.
    pub ram_bytes: Option<u64>,
}

impl Limits {
    /// Whether there is one.
    pub const fn is_any(self) -> bool {
        self.flash_bytes.is_some() || self.ram_bytes.is_some()
    }

    /// Whether a plan that takes so much keeps to them.
    pub fn hold(self, flash_bytes: u64, ram_bytes: u64) -> bool {
        let holds = |bytes: u64, limit: Option<u64>| limit.is_none_or(|limit| bytes <= limit);
        holds(flash_bytes, self.flash_bytes) && holds(ram_bytes, self.ram_bytes)
    }
}
