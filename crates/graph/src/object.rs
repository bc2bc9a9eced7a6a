//! What a value behind a trait needs to be compared, printed and recognized.

use std::{any::Any, fmt::Debug};

/// Plain data of any type that can be compared and printed.
pub trait Object: Any + Debug + Send + Sync {
    /// Whether `other` is of the same type and equal.
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<T: Any + Debug + Send + Sync + PartialEq> Object for T {
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>() == Some(self)
    }
}
