//! Images measured by several machines, with the same result to the bit as by one.
//!
//! `nodes.rs` is the contract of whoever carries questions to others, `wire.rs` the bytes that go both ways.
//! `desk.rs` knows who has which piece of the images, and gives it to another where no answer comes. `driver.rs` asks,
//! `answerer.rs` answers.

mod answerer;
mod desk;
mod driver;
mod nodes;
mod wire;

pub use answerer::{Answerer, ImageSet, Judged, ThinNetwork};
pub use driver::{Asked, Spread};
pub use nodes::{Given, Happened, Nodes, Question};
