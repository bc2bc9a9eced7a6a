//! Tests that take seconds; `cargo xtask test --quick` leaves them out.

mod channels;
mod generalize;
mod golden;
mod one_width;
mod pictures;
mod published;
mod stopped;
