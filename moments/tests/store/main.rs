//! The store on both databases: the same promises, the same random commands, the same accidents.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like the tests"
)]

mod kill;
#[path = "../support/log.rs"]
mod log;
mod model;
mod people;
#[path = "../support/postgres.rs"]
mod postgres;
mod promises;
mod races;
mod selling;
mod serving;
mod world;

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name(crate::world::World::sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name(crate::world::World::postgres().await).await; })*
        }
    };
}
pub(crate) use on_both;
