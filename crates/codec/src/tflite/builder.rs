//! `FlatBuffers` to bytes: tables are written before what they refer to. `planus` writes tables by unsafe code alone,
//! which this crate forbids.

/// A table to write: fields by their number; one that is left out has its default.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(usize, Field)>);

/// A field of a table.
#[derive(Debug)]
pub(super) enum Field {
    /// A number of 8 bits or a truth value.
    Byte(u8),
    /// A number of 32 bits, as it is stored.
    Word([u8; 4]),
    Table(Fields),
    Tables(Vec<Fields>),
    Text(String),
    /// Numbers with that many bytes each, as they are stored.
    Numbers(Vec<u8>, usize),
    /// Bytes that begin at a multiple of 16 in the file.
    Data(Vec<u8>),
}

/// Where the bytes of [`Field::Data`] begin.
const DATA_ALIGNMENT: usize = 16;

impl Fields {
    pub(super) fn byte(self, slot: usize, x: u8) -> Self {
        self.field(slot, Field::Byte(x))
    }

    pub(super) fn int(self, slot: usize, x: i32) -> Self {
        self.field(slot, Field::Word(x.to_le_bytes()))
    }

    pub(super) fn float(self, slot: usize, x: f32) -> Self {
        self.field(slot, Field::Word(x.to_le_bytes()))
    }

    pub(super) fn text(self, slot: usize, x: &str) -> Self {
        self.field(slot, Field::Text(x.to_owned()))
    }

    pub(super) fn ints(self, slot: usize, all: impl IntoIterator<Item = i32>) -> Self {
        let bytes = all.into_iter().flat_map(i32::to_le_bytes).collect();
        self.field(slot, Field::Numbers(bytes, 4))
    }

    pub(super) fn longs(self, slot: usize, all: &[i64]) -> Self {
        self.field(slot, Field::Numbers(all.iter().flat_map(|x| x.to_le_bytes()).collect(), 8))
    }

    pub(super) fn floats(self, slot: usize, all: &[f32]) -> Self {
        self.field(slot, Field::Numbers(all.iter().flat_map(|x| x.to_le_bytes()).collect(), 4))
    }

    pub(super) fn data(self, slot: usize, bytes: Vec<u8>) -> Self {
        self.field(slot, Field::Data(bytes))
    }

    pub(super) fn table(self, slot: usize, table: Self) -> Self {
        self.field(slot, Field::Table(table))
    }

    pub(super) fn tables(self, slot: usize, tables: Vec<Self>) -> Self {
        self.field(slot, Field::Tables(tables))
    }

    fn field(mut self, slot: usize, field: Field) -> Self {
        self.0.push((slot, field));
        self
    }

    /// The file that begins with this table.
    ///
    /// # Panics
    /// Where it exceeds 2 GiB.
    pub(super) fn file(self, mark: [u8; 4]) -> Vec<u8> {
        let mut file = File(vec![0; 4]);
        file.0.extend(mark);
        let root = file.table(self);
        file.refer(0, root);
        file.0
    }
}

/// The bytes so far.
struct File(Vec<u8>);

impl File {
    /// Fills up so that the place `ahead` bytes further on is a multiple of `alignment`.
    fn align(&mut self, alignment: usize, ahead: usize) {
        let end = (self.0.len() + ahead).next_multiple_of(alignment) - ahead;
        self.0.resize(end, 0);
    }

    fn word(&mut self, x: usize) {
        let x = i32::try_from(x).expect("a file is smaller than 2 GiB");
        self.0.extend(x.to_le_bytes());
    }

    /// Fills in the distance from a place to what it refers to.
    fn refer(&mut self, from: usize, to: usize) {
        let distance = i32::try_from(to - from).expect("a file is smaller than 2 GiB");
        self.0[from..from + 4].copy_from_slice(&distance.to_le_bytes());
    }

    /// Writes a table and all that it refers to; gives its place.
    fn table(&mut self, fields: Fields) -> usize {
        let Fields(mut fields) = fields;
        // Fields of four bytes first: none needs to be aligned then.
        fields.sort_by_key(|(_, field)| matches!(field, Field::Byte(_)));
        let slots = fields.iter().map(|(slot, _)| slot + 1).max().unwrap_or(0);
        let mut offsets = vec![0_u16; slots];
        let mut size = 4_u16;
        for (slot, field) in &fields {
            offsets[*slot] = size;
            size += if matches!(field, Field::Byte(_)) { 1 } else { 4 };
        }
        let head = 4 + 2 * slots;
        self.align(4, head);
        let head_size = u16::try_from(head).expect("a table has few fields");
        self.0.extend([head_size, size].into_iter().chain(offsets).flat_map(u16::to_le_bytes));
        let start = self.0.len();
        self.word(head);
        let mut pending = Vec::new();
        for (_, field) in fields {
            match field {
                Field::Byte(x) => self.0.push(x),
                Field::Word(x) => self.0.extend(x),
                other => {
                    pending.push((self.0.len(), other));
                    self.0.extend([0; 4]);
                }
            }
        }
        for (place, field) in pending {
            let to = self.referred(field);
            self.refer(place, to);
        }
        start
    }

    /// Writes what a field refers to; gives its place.
    fn referred(&mut self, field: Field) -> usize {
        match field {
            Field::Table(fields) => self.table(fields),
            Field::Tables(tables) => {
                self.align(4, 0);
                let start = self.0.len();
                self.word(tables.len());
                let places = self.0.len();
                self.0.resize(places + 4 * tables.len(), 0);
                for (i, table) in tables.into_iter().enumerate() {
                    let to = self.table(table);
                    self.refer(places + 4 * i, to);
                }
                start
            }
            Field::Text(text) => {
                let start = self.vector(text.as_bytes(), 1, 4);
                self.0.push(0);
                start
            }
            Field::Numbers(bytes, size) => self.vector(&bytes, size, size.max(4)),
            Field::Data(bytes) => self.vector(&bytes, 1, DATA_ALIGNMENT),
            Field::Byte(_) | Field::Word(_) => unreachable!("numbers lie in their table"),
        }
    }

    /// Writes elements of that size behind their number.
    fn vector(&mut self, bytes: &[u8], size: usize, alignment: usize) -> usize {
        self.align(alignment, 4);
        let start = self.0.len();
        self.word(bytes.len() / size);
        self.0.extend(bytes);
        start
    }
}
