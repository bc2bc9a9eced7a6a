//! What plans are measured on.

/// A set of images.
pub trait Images: Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Writes image `idx`, `[h, w, c]`, in the units the network is fed.
    fn image(&self, idx: usize, out: &mut [f32]);

    /// Its class, where it is known.
    fn label(&self, idx: usize) -> Option<usize>;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
