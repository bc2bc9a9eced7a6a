//! Slices of integers whose type is known only at run time.

/// The type one stored integer has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
}

impl Element {
    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::I16 => 2,
        }
    }

    /// The smallest value.
    pub fn min(self) -> i64 {
        match self {
            Element::U8 => 0,
            Element::I8 => i64::from(i8::MIN),
            Element::I16 => i64::from(i16::MIN),
        }
    }

    /// The largest value.
    pub fn max(self) -> i64 {
        match self {
            Element::U8 => i64::from(u8::MAX),
            Element::I8 => i64::from(i8::MAX),
            Element::I16 => i64::from(i16::MAX),
        }
    }
}

/// Read-only integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integers<'a> {
    /// Elements of type [`Element::U8`].
    U8(&'a [u8]),
    /// Elements of type [`Element::I8`].
    I8(&'a [i8]),
    /// Elements of type [`Element::I16`].
    I16(&'a [i16]),
}

impl<'a> Integers<'a> {
    /// Number of elements.
    pub fn len(self) -> usize {
        match self {
            Integers::U8(x) => x.len(),
            Integers::I8(x) => x.len(),
            Integers::I16(x) => x.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Type of the elements.
    pub fn element(self) -> Element {
        match self {
            Integers::U8(_) => Element::U8,
            Integers::I8(_) => Element::I8,
            Integers::I16(_) => Element::I16,
        }
    }

    /// Elements of one byte as their bits.
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Integers::U8(x) => Some(x),
            Integers::I8(x) => {
                // SAFETY: both have the same size, and any bits are a valid value of both.
                Some(unsafe { core::slice::from_raw_parts(x.as_ptr().cast(), x.len()) })
            }
            Integers::I16(_) => None,
        }
    }

    /// The integer at `idx`.
    ///
    /// # Panics
    /// If `idx` is out of bounds.
    #[inline]
    pub fn get(self, idx: usize) -> i64 {
        match self {
            Integers::U8(x) => i64::from(x[idx]),
            Integers::I8(x) => i64::from(x[idx]),
            Integers::I16(x) => i64::from(x[idx]),
        }
    }

    /// The elements in `range`.
    ///
    /// # Panics
    /// If `range` is out of bounds.
    #[must_use]
    pub fn slice(self, range: core::ops::Range<usize>) -> Integers<'a> {
        match self {
            Integers::U8(x) => Integers::U8(&x[range]),
            Integers::I8(x) => Integers::I8(&x[range]),
            Integers::I16(x) => Integers::I16(&x[range]),
        }
    }
}

/// Integers to write.
#[derive(Debug, PartialEq, Eq)]
pub enum IntegersMut<'a> {
    /// Elements of type [`Element::U8`].
    U8(&'a mut [u8]),
    /// Elements of type [`Element::I8`].
    I8(&'a mut [i8]),
    /// Elements of type [`Element::I16`].
    I16(&'a mut [i16]),
}

impl<'a> IntegersMut<'a> {
    /// Elements of one byte as their bits.
    pub(crate) fn into_bytes(self) -> Option<&'a mut [u8]> {
        match self {
            IntegersMut::U8(x) => Some(x),
            IntegersMut::I8(x) => {
                // SAFETY: both have the same size, and any bits are a valid value of both; the borrow goes on.
                Some(unsafe { core::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len()) })
            }
            IntegersMut::I16(_) => None,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.as_ref().is_empty()
    }

    /// Type of the elements.
    pub fn element(&self) -> Element {
        self.as_ref().element()
    }

    /// The same elements, read-only.
    pub fn as_ref(&self) -> Integers<'_> {
        match self {
            IntegersMut::U8(x) => Integers::U8(x),
            IntegersMut::I8(x) => Integers::I8(x),
            IntegersMut::I16(x) => Integers::I16(x),
        }
    }

    /// The same elements for a shorter time.
    pub fn reborrow(&mut self) -> IntegersMut<'_> {
        match self {
            IntegersMut::U8(x) => IntegersMut::U8(x),
            IntegersMut::I8(x) => IntegersMut::I8(x),
            IntegersMut::I16(x) => IntegersMut::I16(x),
        }
    }

    /// The elements in `range`, for a shorter time.
    ///
    /// # Panics
    /// If `range` is out of bounds.
    #[must_use]
    pub fn slice(&mut self, range: core::ops::Range<usize>) -> IntegersMut<'_> {
        match self {
            IntegersMut::U8(x) => IntegersMut::U8(&mut x[range]),
            IntegersMut::I8(x) => IntegersMut::I8(&mut x[range]),
            IntegersMut::I16(x) => IntegersMut::I16(&mut x[range]),
        }
    }

    /// The integer at `idx`.
    ///
    /// # Panics
    /// If `idx` is out of bounds.
    pub fn get(&self, idx: usize) -> i64 {
        self.as_ref().get(idx)
    }

    /// Writes `value`, which the element holds, at `idx`.
    ///
    /// # Panics
    /// If `idx` is out of bounds.
    #[inline]
    pub fn set(&mut self, idx: usize, value: i64) {
        debug_assert!((self.element().min()..=self.element().max()).contains(&value));
        match self {
            IntegersMut::U8(x) => x[idx] = value as u8,
            IntegersMut::I8(x) => x[idx] = value as i8,
            IntegersMut::I16(x) => x[idx] = value as i16,
        }
    }
}
