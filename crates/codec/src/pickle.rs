//! A strict reader of the pickles that hold plain containers and NumPy arrays.
//!
//! Nothing that a pickle names is called or looked up: a call stays a note of its name and its
//! arguments. Values live in one list and refer to each other by position, so that neither nesting
//! nor repetition costs more than the bytes of the file.

use std::collections::BTreeMap;

/// Values a pickle may have; the data sets that come as pickles have a few 100,000.
const MAX_VALUES: usize = 1 << 22;

/// Why a pickle cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pickle is not supported or damaged at byte {at}: {problem}")]
pub struct PickleError {
    /// Where in the file.
    pub at: usize,
    /// What is wrong.
    pub problem: String,
}

/// The position of a value.
pub(crate) type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Bytes and texts alike: Python 2 made no difference.
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Something that a module has.
    Global(&'a [u8], &'a [u8]),
    /// What a call would give: the callable, its arguments, and the state put in afterwards.
    Call {
        callable: Id,
        arguments: Id,
        state: Option<Id>,
    },
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

/// An array of bytes in a pickle.
#[derive(Debug, PartialEq)]
pub(crate) struct ByteArray<'a> {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: &'a [u8],
}

impl<'a> Pickle<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, PickleError> {
        let mut machine = Machine { bytes, at: 0, ..Machine::default() };
        loop {
            let at = machine.at;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { values: machine.values, root }),
                Err(problem) => return Err(PickleError { at, problem }),
            }
        }
    }

    /// The value of a key of the outermost dictionary.
    pub(crate) fn entry(&self, key: &str) -> Option<&Value<'a>> {
        let Value::Dict(entries) = &self.values[self.root] else { return None };
        let is_it = |&&(k, _): &&(Id, Id)| self.values[k] == Value::Bytes(key.as_bytes());
        // Of a key that is there twice the last one counts, as in Python.
        entries.iter().rev().find(is_it).map(|&(_, value)| &self.values[value])
    }

    /// The integers of a list or tuple.
    pub(crate) fn ints(&self, value: &Value<'a>) -> Option<Vec<i64>> {
        let (Value::List(items) | Value::Tuple(items)) = value else { return None };
        let int = |&id: &Id| match self.values[id] {
            Value::Int(x) => Some(x),
            _ => None,
        };
        items.iter().map(int).collect()
    }

    /// The elements of a NumPy array of unsigned bytes in C order.
    pub(crate) fn byte_array(&self, value: &Value<'a>) -> Option<ByteArray<'a>> {
        let Value::Call { callable, arguments, state } = value else { return None };
        let (shape, dtype, data) = match (&self.values[*callable], state) {
            // `_reconstruct`, then the state (version, shape, dtype, is Fortran, data).
            (
                Value::Global(
                    b"numpy.core.multiarray" | b"numpy._core.multiarray",
                    b"_reconstruct",
                ),
                Some(state),
            ) => {
                let &[_, shape, dtype, is_fortran, data] = self.tuple(*state)? else { return None };
                let is_c = matches!(self.values[is_fortran], Value::Bool(false) | Value::Int(0));
                (is_c.then_some(shape)?, dtype, data)
            }
            // Protocol 5: `_frombuffer(data, dtype, shape, order)`.
            (
                Value::Global(b"numpy.core.numeric" | b"numpy._core.numeric", b"_frombuffer"),
                None,
            ) => {
                let &[data, dtype, shape, order] = self.tuple(*arguments)? else { return None };
                let is_c = self.values[order] == Value::Bytes(b"C");
                (is_c.then_some(shape)?, dtype, data)
            }
            _ => return None,
        };
        let Value::Call { callable, arguments, .. } = &self.values[dtype] else { return None };
        let name = self.values.get(*self.tuple(*arguments)?.first()?);
        let is_u8 = self.values[*callable] == Value::Global(b"numpy", b"dtype")
            && name == Some(&Value::Bytes(b"u1"));
        let shape: Option<Vec<usize>> = self
            .ints(&self.values[shape])?
            .into_iter()
            .map(|extent| usize::try_from(extent).ok())
            .collect();
        let (Value::Bytes(data), Some(shape), true) = (&self.values[data], shape, is_u8) else {
            return None;
        };
        let n = shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent))?;
        (n == data.len()).then_some(ByteArray { shape, data })
    }

    fn tuple(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// One instruction; the outermost value at the end.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let code = self.take(1)?[0];
        match code {
            // PROTO, FRAME
            0x80 => match self.take(1)?[0] {
                2..=5 => {}
                version => return Err(format!("protocol {version} is not supported, 2 to 5 are")),
            },
            0x95 => drop(self.take(8)?),
            b'.' => {
                let root = self.pop()?;
                let is_whole = self.stack.is_empty() && self.marks.is_empty();
                return if is_whole && self.at == self.bytes.len() {
                    Ok(Some(root))
                } else {
                    Err("data follows the end".to_owned())
                };
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' | b'M' => {
                let x = self.number(if code == b'K' { 1 } else { 2 })?;
                self.push(Value::Int(i64::try_from(x).map_err(|e| e.to_string())?))?;
            }
            b'J' => {
                let x = self.take(4)?;
                self.push(Value::Int(i64::from(i32::from_le_bytes([x[0], x[1], x[2], x[3]]))))?;
            }
            0x8a => self.long()?,
            // Texts and bytes with a length of 1, 4 or 8 bytes.
            b'U' | b'C' | 0x8c => self.bytes(1)?,
            b'T' | b'B' | b'X' => self.bytes(4)?,
            0x8d | 0x8e | 0x96 => self.bytes(8)?,
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            0x85..=0x87 => {
                let n = usize::from(code - 0x84);
                let from = self.stack.len().checked_sub(n).ok_or("the stack is too short")?;
                self.tuple(from)?;
            }
            b't' => {
                let mark = self.mark()?;
                self.tuple(mark)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.popped(true)?;
                self.append(&items)?;
            }
            b's' | b'u' => {
                let items = self.popped(code == b'u')?;
                self.set(&items)?;
            }
            b'q' | b'r' => {
                let key = self.number(if code == b'q' { 1 } else { 4 })?;
                self.remember(key)?;
            }
            0x94 => {
                let key = u64::try_from(self.memo.len()).map_err(|e| e.to_string())?;
                self.remember(key)?;
            }
            b'h' | b'j' => {
                let key = self.number(if code == b'h' { 1 } else { 4 })?;
                let id = *self.memo.get(&key).ok_or("it refers to a missing value")?;
                self.stack.push(id);
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(module, name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Bytes(module), Value::Bytes(name)) =
                    (&self.values[module], &self.values[name])
                else {
                    return Err("a name is not a string".to_owned());
                };
                let global = Value::Global(module, name);
                self.push(global)?;
            }
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                if !matches!(self.values[callable], Value::Global(..)) {
                    return Err("it calls an object without a name".to_owned());
                }
                self.push(Value::Call { callable, arguments, state: None })?;
            }
            b'b' => {
                let given = self.pop()?;
                match self.top()? {
                    Value::Call { state, .. } if state.is_none() => *state = Some(given),
                    _ => return Err("it sets the state of an object that has none".to_owned()),
                }
            }
            code => return Err(format!("its instruction {code:#04x} is not supported")),
        }
        Ok(None)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes[self.at..].get(..n).ok_or("it ends too early")?;
        self.at += n;
        Ok(taken)
    }

    /// Up to the end of the line, which is left out.
    fn line(&mut self) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|&b| b == b'\n').ok_or("it ends too early")?;
        self.at += n + 1;
        Ok(&rest[..n])
    }

    fn number(&mut self, n_bytes: usize) -> Result<u64, String> {
        Ok(self.take(n_bytes)?.iter().rev().fold(0, |x, &b| x << 8 | u64::from(b)))
    }

    /// Two's complement of up to 8 bytes.
    fn long(&mut self) -> Result<(), String> {
        let n = usize::from(self.take(1)?[0]);
        if n > 8 {
            return Err("an integer needs more than 64 bits".to_owned());
        }
        let x = self.take(n)?;
        let fill = if x.last().is_some_and(|&b| b >= 0x80) { 0xff } else { 0 };
        let mut whole = [fill; 8];
        whole[..n].copy_from_slice(x);
        self.push(Value::Int(i64::from_le_bytes(whole)))
    }

    fn bytes(&mut self, length_bytes: usize) -> Result<(), String> {
        let n = usize::try_from(self.number(length_bytes)?).map_err(|e| e.to_string())?;
        let bytes = self.take(n)?;
        self.push(Value::Bytes(bytes))
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), String> {
        if self.values.len() >= MAX_VALUES {
            return Err(format!("it has more than {MAX_VALUES} values"));
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        // What lies below a mark belongs to somebody else.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("the stack is too short".to_owned());
        }
        self.stack.pop().ok_or_else(|| "the stack is too short".to_owned())
    }

    fn top(&mut self) -> Result<&mut Value<'a>, String> {
        let &id = self.stack.last().ok_or("the stack is too short")?;
        Ok(&mut self.values[id])
    }

    fn mark(&mut self) -> Result<usize, String> {
        self.marks.pop().ok_or_else(|| "it has no mark".to_owned())
    }

    /// A tuple of everything from that height on.
    fn tuple(&mut self, from: usize) -> Result<(), String> {
        if from > self.stack.len() || self.marks.last().is_some_and(|&mark| from < mark) {
            return Err("the stack is too short".to_owned());
        }
        let items = self.stack.split_off(from);
        self.push(Value::Tuple(items))
    }

    /// Everything above the mark, or two values.
    fn popped(&mut self, to_mark: bool) -> Result<Vec<Id>, String> {
        if to_mark {
            let mark = self.mark()?;
            if mark > self.stack.len() {
                return Err("the stack is too short".to_owned());
            }
            return Ok(self.stack.split_off(mark));
        }
        let (value, key) = (self.pop()?, self.pop()?);
        Ok(vec![key, value])
    }

    fn append(&mut self, items: &[Id]) -> Result<(), String> {
        match self.top()? {
            Value::List(list) => list.extend(items),
            _ => return Err("it appends to a value that is not a list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let (pairs, rest) = items.as_chunks::<2>();
        match self.top()? {
            Value::Dict(entries) if rest.is_empty() => {
                entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            Value::Dict(_) => return Err("a key has no value".to_owned()),
            _ => return Err("it sets entries of a value that is not a dictionary".to_owned()),
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Result<(), String> {
        let &id = self.stack.last().ok_or("the stack is too short")?;
        self.memo.insert(key, id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_containers_are_read() {
        // {'a': [1, -2, 300], 'b': (True,), 'a' again as memoized}
        let bytes = b"\x80\x02}q\x00(U\x01aq\x01](K\x01J\xfe\xff\xff\xffM\x2c\x01eU\x01b\x88\x85u.";
        let pickle = Pickle::read(bytes).unwrap();
        let list = pickle.entry("a").unwrap();
        assert_eq!(pickle.ints(list), Some(vec![1, -2, 300]));
        assert!(matches!(pickle.entry("b"), Some(Value::Tuple(items)) if items.len() == 1));
        assert_eq!(pickle.entry("c"), None);
        assert_eq!(pickle.byte_array(list), None);
    }

    #[test]
    fn long_integers_keep_their_sign() {
        for (bytes, expected) in [
            (&b"\x80\x02](\x8a\x00\x8a\x01\xff\x8a\x02\xff\x00e."[..], vec![0, -1, 255]),
            (b"\x80\x02](\x8a\x08\0\0\0\0\0\0\0\x80e.", vec![i64::MIN]),
        ] {
            let pickle = Pickle::read(bytes).unwrap();
            assert_eq!(pickle.ints(&pickle.values[pickle.root]), Some(expected));
        }
    }

    #[test]
    fn malformed_pickles_are_refused() {
        let cases: [(&[u8], &str); 20] = [
            (b"", "at byte 0: it ends too early"),
            (b"\x80\x02}", "at byte 3: it ends too early"),
            (b"\x80\x01N.", "protocol 1 is not supported"),
            (b"(lp0\n.", "instruction 0x6c is not supported"),
            (b"\x80\x02.", "the stack is too short"),
            (b"\x80\x02NN.", "data follows"),
            (b"\x80\x02(N.", "data follows"),
            (b"\x80\x02N.N", "data follows"),
            (b"\x80\x02t", "it has no mark"),
            (b"\x80\x02N(\x85", "the stack is too short"),
            (b"\x80\x02N\x86", "the stack is too short"),
            (b"\x80\x02h\x07", "refers to a missing value"),
            (b"\x80\x02NNa", "not a list"),
            (b"\x80\x02}(Nu", "a key has no value"),
            (b"\x80\x02](NNu", "not a dictionary"),
            (b"\x80\x02NNR", "calls an object without a name"),
            (b"\x80\x02NNb", "the state of an object that has none"),
            (b"\x80\x02\x8a\x09", "more than 64 bits"),
            (b"\x80\x02T\xff\xff\xff\xff", "it ends too early"),
            (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "it ends too early"),
        ];
        for (bytes, expected) in cases {
            let error = Pickle::read(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{bytes:?}: expected {expected}, got {error}");
        }
    }

    #[test]
    fn a_call_is_never_made() {
        let pickle = Pickle::read(b"\x80\x02cos\nsystem\nU\x04echo\x85R.").unwrap();
        let value = &pickle.values[pickle.root];
        assert!(matches!(value, Value::Call { state: None, .. }));
        assert_eq!((pickle.byte_array(value), pickle.ints(value)), (None, None));
    }

    #[test]
    fn neither_depth_nor_repetition_costs_more_than_its_bytes() {
        let n = 100_000;
        let deep = [b"\x80\x02".to_vec(), vec![b']'; n], vec![b'a'; n - 1], b".".to_vec()].concat();
        assert_eq!(Pickle::read(&deep).unwrap().values.len(), n);
        // A list of two references to a list of two references to ...
        let twice = b"](h\x00h\x00eq\x00".repeat(1000);
        let many = [b"\x80\x02](Nq\x00".as_slice(), &twice, b"e."].concat();
        assert_eq!(Pickle::read(&many).unwrap().values.len(), 1002);
        let too_many = [b"\x80\x02(".to_vec(), vec![b'N'; MAX_VALUES + 1]].concat();
        assert!(Pickle::read(&too_many).unwrap_err().problem.contains("more than"));
    }
}
