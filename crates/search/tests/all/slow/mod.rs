//! Tests that take seconds; `cargo xtask test --quick` leaves them out.

mod pareto;
