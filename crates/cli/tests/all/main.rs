//! The command, as a user starts it. One program for all, since each is linked to the whole project.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bad_input;
mod classes;
mod common;
mod export;
mod first_result;
mod help;
mod import;
mod inputs;
mod jobs;
mod metrics;
mod outputs;
mod packages;
mod preprocess;
mod refit;
mod slow;
mod sweep;
mod terminal;
mod tune;
mod values;
mod whole_chain;
