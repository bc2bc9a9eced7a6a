//! Readers, against files that other programs wrote and against damage. One program for all, since each is linked to the whole project.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod data_files;
mod hostile;
mod keras;
mod seed;
mod seeds;
