//! Tests that take seconds; `cargo xtask test --quick` leaves them out.

mod generalize;
mod golden;
mod pictures;
mod published;
mod stopped;
