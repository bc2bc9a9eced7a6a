//! A report as plain data, for whoever shows it: a terminal, a page. No colors, no widths; a
//! column says what becomes of it where there is no room for all.

/// What stands together under one title.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Empty where what stands there needs none.
    pub title: String,
    /// What is said first, beside the title.
    pub about: Option<Sentence>,
    /// Numbers.
    pub table: Option<Table>,
    /// What follows from them.
    pub statements: Vec<Statement>,
    /// How to read all that.
    pub notes: Vec<Sentence>,
}

/// Rows under a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// From left to right.
    pub columns: Vec<Column>,
    /// From top to bottom, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// The head of a column, and how its cells are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// May be empty.
    pub title: &'static str,
    /// Where its cells stand.
    pub align: Align,
    /// How they are set off.
    pub style: Style,
    /// What becomes of it where a line is too short for all columns.
    pub room: Room,
}

impl Column {
    /// A column that is always shown.
    pub(super) const fn new(title: &'static str, align: Align, style: Style) -> Self {
        Self { title, align, style, room: Room::Full }
    }

    /// A column of numbers that is always shown.
    pub(super) const fn right(title: &'static str, style: Style) -> Self {
        Self::new(title, Align::Right, style)
    }

    /// The names of nodes.
    pub(super) const fn names(title: &'static str) -> Self {
        Self { room: Room::Name, ..Self::new(title, Align::Left, Style::Plain) }
    }

    /// A text that may take several lines.
    pub(super) const fn folded(title: &'static str, style: Style) -> Self {
        Self { room: Room::Folded, ..Self::new(title, Align::Left, style) }
    }

    /// The same column, left out where there is no room; of several, the one of the highest rank first.
    pub(super) const fn optional(self, rank: u8) -> Self {
        Self { room: Room::Optional(rank), ..self }
    }
}

/// What becomes of a column where a line is too short for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is shown as it is.
    Full,
    /// Its names are shortened.
    Name,
    /// Its text goes on below.
    Folded,
    /// It is left out; of several, the one of the highest rank first.
    Optional(u8),
}

/// Which end of its column a cell stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Where a line begins.
    Left,
    /// Where it ends, so that numbers stand under each other.
    Right,
}

/// How a text is set off, by what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// It is what the reader looks for.
    Bold,
    /// It is there for those who look closer.
    Dim,
    /// It is as it should be.
    Good,
    /// It is not.
    Bad,
    /// It is about weights.
    Weights,
    /// It is about activations.
    Activations,
}

/// One place of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A few words; none where there is nothing to say.
    Text(Sentence),
    /// The whole name of a node; whoever shows it may shorten it.
    Name(String),
    /// A number as it is written, and its unit: `KiB`, `%`, a power of a thousand, or nothing.
    Number {
        /// Digits, grouped or rounded.
        value: String,
        /// May be empty.
        unit: String,
    },
    /// A width in bits, to be drawn as a bar.
    Bits(u8),
}

impl Cell {
    /// Nothing to say.
    pub(super) fn empty() -> Self {
        Self::Text(Sentence::default())
    }

    /// Words.
    pub(super) fn text(words: impl Into<String>) -> Self {
        Self::Text(Sentence::from(words.into()))
    }

    /// A number with its unit after a blank, where it has one.
    pub(super) fn number(written: impl Into<String>) -> Self {
        let written = written.into();
        let (value, unit) = written.split_once(' ').unwrap_or((&written, ""));
        Self::Number { value: value.to_owned(), unit: unit.to_owned() }
    }
}

/// Something that follows, and what supports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whether it is good news; absent for a remark.
    pub mark: Option<Mark>,
    /// What is said.
    pub text: Sentence,
    /// One after the other.
    pub details: Vec<Sentence>,
}

/// What a statement means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Something to look at.
    Attention,
}

/// Words, and the names of nodes between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence(pub Vec<Part>);

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As they are.
    Words(String),
    /// The whole name of a node or a target; whoever shows it may shorten it.
    Name(String),
}

impl Sentence {
    /// Begins with a name.
    pub(super) fn name(name: &str) -> Self {
        Self::default().and_name(name)
    }

    pub(super) fn and(mut self, words: impl Into<String>) -> Self {
        self.0.push(Part::Words(words.into()));
        self
    }

    pub(super) fn and_name(mut self, name: &str) -> Self {
        self.0.push(Part::Name(name.to_owned()));
        self
    }
}

impl<T: Into<String>> From<T> for Sentence {
    fn from(words: T) -> Self {
        let words = words.into();
        if words.is_empty() { Self::default() } else { Self::default().and(words) }
    }
}
