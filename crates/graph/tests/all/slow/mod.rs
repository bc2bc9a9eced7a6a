//! Tests that take seconds; `cargo xtask test --quick` leaves them out.

mod code_size;
mod coded;
mod dialects;
mod emit_c;
mod emit_c_networks;
mod emit_dsp;
mod emit_mve;
mod instructions;
mod keras;
mod operators;
mod rows;
mod three;
mod weight_file;
