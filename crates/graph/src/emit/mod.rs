//! Printing an integer network for others to run: one folder or file a language. An emitter
//! decides nothing about the integers; what it chooses is layout and instructions.

pub mod c;
