//! A printed layer.

/// What runs a layer: statements as in [`CStep::call`](crate::emit::c::node::CStep::call), and bytes of working memory.
pub(super) struct Printed {
    pub(super) call: String,
    pub(super) scratch_bytes: usize,
}
