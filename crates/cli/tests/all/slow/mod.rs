//! Tests that take seconds; `cargo xtask test --quick` leaves them out.

mod killed;
mod packages;
mod plot;
mod readme;
mod strategies;
mod targets;
