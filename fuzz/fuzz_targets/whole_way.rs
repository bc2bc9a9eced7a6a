//! A model is refused on its way, or it is a network whose integers are the same on every path.
#![no_main]

#[path = "../src/whole_way.rs"]
mod way;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(way::whole_way(bytes)));
