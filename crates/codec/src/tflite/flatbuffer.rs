//! `FlatBuffers` from bytes that nobody vouches for: tables with numbered fields. What is used of the `planus` crate
//! is used here; its accessors check every offset and length.

use planus::{SliceWithStartOffset, TableRead, Vector, errors::ErrorKind, table_reader};

/// Why a field cannot be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BufferError(planus::Error);

type Result<T> = std::result::Result<T, BufferError>;

/// A table of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    table: table_reader::Table<'a>,
    /// How errors call it.
    name: &'static str,
}

/// The tables of a vector, none read yet.
struct Tables<'a> {
    elements: SliceWithStartOffset<'a>,
    count: usize,
}

impl<'a> TableRead<'a> for Tables<'a> {
    fn from_buffer(
        buffer: SliceWithStartOffset<'a>,
        offset: usize,
    ) -> std::result::Result<Self, ErrorKind> {
        let number = |buffer, offset| {
            let x = u32::from_buffer(buffer, offset)?;
            usize::try_from(x).map_err(|_| ErrorKind::InvalidOffset)
        };
        let to = offset.checked_add(number(buffer, offset)?).ok_or(ErrorKind::InvalidOffset)?;
        let vector = buffer.advance(to)?;
        let (count, elements) = (number(vector, 0)?, vector.advance(4)?);
        if count > elements.len() / 4 {
            return Err(ErrorKind::InvalidLength);
        }
        Ok(Self { elements, count })
    }
}

impl<'a> Table<'a> {
    /// The table that a file begins with.
    pub(super) fn root(bytes: &'a [u8], name: &'static str) -> Result<Self> {
        let start = SliceWithStartOffset { buffer: bytes, offset_from_start: 0 };
        Self::of(table_reader::Table::from_buffer(start, 0), name, 0)
    }

    fn of(
        found: std::result::Result<table_reader::Table<'a>, ErrorKind>,
        name: &'static str,
        byte_offset: usize,
    ) -> Result<Self> {
        let source_location =
            planus::errors::ErrorLocation { type_: name, method: "", byte_offset };
        match found {
            Ok(table) => Ok(Self { table, name }),
            Err(error_kind) => Err(BufferError(planus::Error { source_location, error_kind })),
        }
    }

    fn get<T: TableRead<'a>>(&self, slot: usize, field: &'static str) -> Result<Option<T>> {
        self.table.access(slot, self.name, field).map_err(BufferError)
    }

    /// A table; `None` where the field is left out.
    pub(super) fn table(&self, slot: usize, name: &'static str) -> Result<Option<Self>> {
        struct Inner<'b>(table_reader::Table<'b>);
        impl<'b> TableRead<'b> for Inner<'b> {
            fn from_buffer(
                buffer: SliceWithStartOffset<'b>,
                offset: usize,
            ) -> std::result::Result<Self, ErrorKind> {
                table_reader::Table::from_buffer(buffer, offset).map(Self)
            }
        }
        let found: Option<Inner> = self.get(slot, name)?;
        Ok(found.map(|inner| Self { table: inner.0, name }))
    }

    /// A vector of tables; empty where the field is left out.
    pub(super) fn tables(&self, slot: usize, name: &'static str) -> Result<Vec<Self>> {
        let Some(found) = self.get::<Tables>(slot, name)? else { return Ok(Vec::new()) };
        (0..found.count)
            .map(|i| {
                let at = found.elements.offset_from_start + 4 * i;
                Self::of(table_reader::Table::from_buffer(found.elements, 4 * i), name, at)
            })
            .collect()
    }

    /// A text; empty where the field is left out.
    pub(super) fn text(&self, slot: usize, field: &'static str) -> Result<&'a str> {
        Ok(self.get(slot, field)?.unwrap_or(""))
    }

    /// Bytes; `None` where the field is left out.
    pub(super) fn bytes(&self, slot: usize, field: &'static str) -> Result<Option<&'a [u8]>> {
        self.get(slot, field)
    }

    /// Numbers; empty where the field is left out.
    pub(super) fn i32s(&self, slot: usize, field: &'static str) -> Result<Vec<i32>> {
        let found: Option<Vector<i32>> = self.get(slot, field)?;
        Ok(found.map(|vector| vector.iter().collect()).unwrap_or_default())
    }

    /// Numbers; empty where the field is left out.
    pub(super) fn u16s(&self, slot: usize, field: &'static str) -> Result<Vec<u16>> {
        let found: Option<Vector<u16>> = self.get(slot, field)?;
        Ok(found.map(|vector| vector.iter().collect()).unwrap_or_default())
    }

    /// Numbers; empty where the field is left out.
    pub(super) fn i64s(&self, slot: usize, field: &'static str) -> Result<Vec<i64>> {
        let found: Option<Vector<i64>> = self.get(slot, field)?;
        Ok(found.map(|vector| vector.iter().collect()).unwrap_or_default())
    }

    /// Numbers; empty where the field is left out.
    pub(super) fn f32s(&self, slot: usize, field: &'static str) -> Result<Vec<f32>> {
        let found: Option<Vector<f32>> = self.get(slot, field)?;
        Ok(found.map(|vector| vector.iter().collect()).unwrap_or_default())
    }

    /// A number of 32 bits, or what it is where the field is left out.
    pub(super) fn i32(&self, slot: usize, field: &'static str, default: i32) -> Result<i32> {
        Ok(self.get(slot, field)?.unwrap_or(default))
    }

    /// A number of 32 bits without a sign, or what it is where the field is left out.
    pub(super) fn u32(&self, slot: usize, field: &'static str, default: u32) -> Result<u32> {
        Ok(self.get(slot, field)?.unwrap_or(default))
    }

    /// A number of 8 bits, or what it is where the field is left out.
    pub(super) fn i8(&self, slot: usize, field: &'static str, default: i8) -> Result<i8> {
        Ok(self.get(slot, field)?.unwrap_or(default))
    }

    /// A float, or what it is where the field is left out.
    pub(super) fn f32(&self, slot: usize, field: &'static str, default: f32) -> Result<f32> {
        Ok(self.get(slot, field)?.unwrap_or(default))
    }

    /// A truth value, false where the field is left out.
    pub(super) fn flag(&self, slot: usize, field: &'static str) -> Result<bool> {
        // Some writers store other numbers than 1.
        Ok(self.get::<u8>(slot, field)?.is_some_and(|x| x != 0))
    }
}
