//! What plans are measured on.

/// What is known of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth<'t> {
    /// Nothing.
    None,
    /// Its class.
    Class(usize),
    /// The class of each place of the first output, row after row; [`Truth::IGNORED`] where there is none.
    Map(&'t [u8]),
    /// What the first output should be, `[h, w, c]`.
    Values(&'t [f32]),
    /// The class of an image that the first output is to be a copy of, `[h, w, c]`: how far it is off is its score.
    Copied(usize, &'t [f32]),
}

impl Truth<'_> {
    /// The label of places that do not count.
    pub const IGNORED: u8 = 255;
}

/// A set of images.
pub trait Images: Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Writes image `idx`, `[h, w, c]`, in the units the network is fed.
    fn image(&self, idx: usize, out: &mut [f32]);

    /// Its class, where it is known.
    fn label(&self, idx: usize) -> Option<usize>;

    /// What is known of it, where that is more than a class.
    fn truth(&self, idx: usize) -> Truth<'_> {
        self.label(idx).map_or(Truth::None, Truth::Class)
    }

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
