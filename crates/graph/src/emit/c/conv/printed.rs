//! A printed layer.

use crate::emit::c::options::WeightCode;

/// What runs a layer: statements as in [`CStep::call`](crate::emit::c::node::CStep::call), bytes of working memory, and how
/// its weights lie in memory.
pub(super) struct Printed {
    pub(super) call: String,
    pub(super) scratch_bytes: usize,
    pub(super) weight_code: WeightCode,
}

impl Printed {
    /// With weights that have bits of their own.
    pub(super) fn new(call: String, scratch_bytes: usize) -> Self {
        Self { call, scratch_bytes, weight_code: WeightCode::Fields }
    }
}
