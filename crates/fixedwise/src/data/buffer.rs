//! Numbers in memory that are not copied on their way into a job.

use std::{fmt, ops::Deref, sync::Arc};

/// Numbers that are owned, or shared with whoever has them.
///
/// ```
/// use std::sync::Arc;
///
/// let owned = fixedwise::Buffer::from(vec![1_u8, 2, 3]);
/// let shared = fixedwise::Buffer::of(Arc::new([1_u8, 2, 3]));
/// assert_eq!(owned, shared);
/// ```
#[derive(Clone)]
pub struct Buffer<T: 'static>(Numbers<T>);

#[derive(Clone)]
enum Numbers<T: 'static> {
    Owned(Vec<T>),
    /// The first so many of them.
    Shared(Arc<dyn AsRef<[T]> + Send + Sync>, usize),
}

impl<T: Send + Sync> Buffer<T> {
    /// Numbers that someone else has, such as an array of another language; they must stay the same.
    pub fn of(numbers: Arc<dyn AsRef<[T]> + Send + Sync>) -> Self {
        let len = (*numbers).as_ref().len();
        Self(Numbers::Shared(numbers, len))
    }

    /// The same, so that clones share the numbers.
    pub(super) fn shared(self) -> Self {
        match self.0 {
            Numbers::Owned(numbers) => Self::of(Arc::new(numbers)),
            Numbers::Shared(..) => self,
        }
    }

    /// Keeps the first so many, and no memory of its own for more.
    pub(super) fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Numbers::Owned(numbers) => {
                numbers.truncate(len);
                numbers.shrink_to_fit();
            }
            Numbers::Shared(_, shown) => *shown = len.min(*shown),
        }
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(numbers: Vec<T>) -> Self {
        Self(Numbers::Owned(numbers))
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Numbers::Owned(numbers) => numbers,
            Numbers::Shared(numbers, len) => &(**numbers).as_ref()[..*len],
        }
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
