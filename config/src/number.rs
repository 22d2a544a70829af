//! The integer types a key can have, on both sides of a TOML integer.

use std::num::{NonZeroU32, NonZeroUsize};

/// An integer type a key can have.
pub(crate) trait Number: Copy {
    /// `None` when the type cannot hold it.
    fn from_integer(integer: i64) -> Option<Self>;
    fn to_integer(self) -> i64;
}

macro_rules! number {
    ($($integer:ty),*) => {$(
        impl Number for $integer {
            fn from_integer(integer: i64) -> Option<Self> {
                integer.try_into().ok()
            }

            fn to_integer(self) -> i64 {
                self.try_into().unwrap_or(i64::MAX)
            }
        }
    )*};
}

macro_rules! non_zero {
    ($($outer:ty: $inner:ty),*) => {$(
        impl Number for $outer {
            fn from_integer(integer: i64) -> Option<Self> {
                integer.try_into().ok().and_then(Self::new)
            }

            fn to_integer(self) -> i64 {
                self.get().try_into().unwrap_or(i64::MAX)
            }
        }
    )*};
}

number!(u32, usize);
non_zero!(NonZeroU32: u32, NonZeroUsize: usize);
