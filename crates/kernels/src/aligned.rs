//! Memory that starts on a cache line, so that no vector load crosses one.

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A number any bytes are a valid value of, whose size divides a cache line.
///
/// # Safety
/// Implement it for primitive numbers only.
pub(crate) unsafe trait Plain: Copy + Default {}
// SAFETY: any bits are a valid value, and the size divides 64.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for i16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}

/// A buffer of numbers that starts on a cache line; it holds whole lines.
pub(crate) struct Aligned<T> {
    lines: Vec<Line>,
    element: core::marker::PhantomData<T>,
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Aligned { lines: Vec::new(), element: core::marker::PhantomData }
    }
}

impl<T: Plain> Aligned<T> {
    /// `len` elements of `value` zero.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut buffer = Aligned::default();
        buffer.grow(len);
        buffer
    }

    /// Makes room for `len` elements; those there are kept, the new ones are zero.
    pub(crate) fn grow(&mut self, len: usize) {
        let lines = (len * size_of::<T>()).div_ceil(64);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0; 64]));
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        let len = self.lines.len() * (64 / size_of::<T>());
        // SAFETY: the lines are contiguous and initialized, a line is aligned for any number of
        // `Plain`, and any bytes are a valid number.
        unsafe { core::slice::from_raw_parts(self.lines.as_ptr().cast(), len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        let len = self.lines.len() * (64 / size_of::<T>());
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}
