//! The header of an `.npy` file: a Python literal.

use super::NpzError;
use std::io::Read;

/// The first bytes of every `.npy` file.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longer headers only come with structured types.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) is_big_endian: bool,
    pub(super) is_fortran: bool,
    pub(super) shape: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl Kind {
    /// Bytes of an element in the file.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Bytes of an element in memory.
    pub(super) fn memory_bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 => 1,
            Self::F16 | Self::F32 | Self::F64 => 4,
            _ => 8,
        }
    }
}

/// Reads the header and leaves `file` at the first element.
pub(super) fn read_header(file: &mut impl Read, array: &str) -> Result<Header, NpzError> {
    let error = |problem: &str| NpzError::Npy { array: array.to_owned(), problem: problem.into() };
    let mut fill = |bytes: &mut [u8]| {
        file.read_exact(bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => error("ends within its header"),
            _ => NpzError::Read { array: array.to_owned(), source },
        })
    };
    let mut start = [0; 8];
    fill(&mut start)?;
    let [magic @ .., major, minor] = &start;
    if magic != MAGIC {
        return Err(error("is not in .npy format"));
    }
    let len = match (major, minor) {
        (1, 0) => {
            let mut len = [0; 2];
            fill(&mut len)?;
            u32::from(u16::from_le_bytes(len))
        }
        (2 | 3, 0) => {
            let mut len = [0; 4];
            fill(&mut len)?;
            u32::from_le_bytes(len)
        }
        _ => return Err(error(&format!(".npy version {major}.{minor} is not supported"))),
    };
    let len = usize::try_from(len)
        .ok()
        .filter(|&len| len <= MAX_HEADER_BYTES)
        .ok_or_else(|| error("its header is too long"))?;
    let mut text = vec![0; len];
    fill(&mut text)?;
    let text = str::from_utf8(&text).map_err(|_| error("its header is not text"))?;
    parse_header(text).map_err(|problem| error(&problem))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn parse_header(text: &str) -> Result<Header, String> {
    let mut literal = Literal { rest: text };
    let mut descr = None;
    let mut fortran = None;
    let mut shape = None;
    literal.expect('{')?;
    while !literal.skip('}') {
        let key = literal.string()?;
        literal.expect(':')?;
        let is_new = match key {
            "descr" => descr.replace(literal.element_type()?).is_none(),
            "fortran_order" => fortran.replace(literal.truth()?).is_none(),
            "shape" => shape.replace(literal.extents()?).is_none(),
            _ => return Err(format!("its header has the unknown key `{}`", key.escape_default())),
        };
        if !is_new {
            return Err(format!("its header has the key `{key}` twice"));
        }
        if !literal.skip(',') {
            literal.expect('}')?;
            break;
        }
    }
    if !literal.rest.trim().is_empty() {
        return Err("its header is followed by other data".to_owned());
    }
    let (Some((kind, is_big_endian)), Some(is_fortran), Some(shape)) = (descr, fortran, shape)
    else {
        return Err("its header lacks `descr`, `fortran_order` or `shape`".to_owned());
    };
    Ok(Header { kind, is_big_endian, is_fortran, shape })
}

/// The part of Python's literals that the header needs.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn skip(&mut self, mark: char) -> bool {
        match self.rest.trim_start().strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: char) -> Result<(), String> {
        if self.skip(mark) { Ok(()) } else { Err(format!("its header lacks a `{mark}`")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.skip('\'') {
            '\''
        } else {
            self.expect('"')?;
            '"'
        };
        let (string, rest) =
            self.rest.split_once(quote).ok_or("its header has an unfinished string")?;
        self.rest = rest;
        Ok(string)
    }

    fn truth(&mut self) -> Result<bool, String> {
        let rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("its header has neither `True` nor `False` for `fortran_order`".to_owned())
    }

    fn extents(&mut self) -> Result<Vec<usize>, String> {
        let mut extents = Vec::new();
        self.expect('(')?;
        while !self.skip(')') {
            let rest = self.rest.trim_start();
            let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(len);
            let extent = digits.parse().map_err(|_| "its header has a malformed `shape`")?;
            extents.push(extent);
            // Python 2 marks long integers.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.skip(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(extents)
    }

    /// The type of the elements, and whether they are big-endian.
    fn element_type(&mut self) -> Result<(Kind, bool), String> {
        if self.rest.trim_start().starts_with('[') {
            return Err(
                "structured elements are not supported; save one array per field".to_owned()
            );
        }
        let descr = self.string()?;
        let (is_big_endian, code) = match descr.as_bytes() {
            [b'>', code @ ..] => (true, code),
            code => (false, code.strip_prefix(b"<").or(code.strip_prefix(b"|")).unwrap_or(code)),
        };
        let kind = match code {
            b"b1" | b"?" => Kind::Bool,
            b"u1" => Kind::U8,
            b"u2" => Kind::U16,
            b"u4" => Kind::U32,
            b"u8" => Kind::U64,
            b"i1" => Kind::I8,
            b"i2" => Kind::I16,
            b"i4" => Kind::I32,
            b"i8" => Kind::I64,
            b"f2" => Kind::F16,
            b"f4" => Kind::F32,
            b"f8" => Kind::F64,
            [b'O', ..] => {
                return Err(
                    "contains pickled Python objects, which are not supported; save it as \
                            an array of numbers"
                        .to_owned(),
                );
            }
            _ => {
                return Err(format!(
                    "elements of type `{}` are not supported; save it as uint8, int64 or float32",
                    descr.escape_default()
                ));
            }
        };
        Ok((kind, is_big_endian))
    }
}
