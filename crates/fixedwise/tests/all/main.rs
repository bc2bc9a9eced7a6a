//! The facade, from files to results. One program for all, since each is linked to the whole project.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod device;
mod functions;
mod gates;
mod layer_order;
mod maps;
mod memory;
mod report;
mod rounded_before;
mod slow;
mod terminal;
