//! Tests that take seconds; `cargo xtask test --quick` leaves them out.

mod killed;
mod plot;
mod readme;
mod strategies;
mod targets;
