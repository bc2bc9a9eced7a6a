//! Searches on small networks that are really run. One program for all, since each is linked to the whole project.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod brute_force;
mod evaluator;
mod joint;
mod layerwise;
mod objective;
mod shards;
mod slow;
mod squares;
mod tune;
