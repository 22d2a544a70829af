//! What can go wrong with the store, and what a constraint's refusal means.

use crate::id::MomentId;
use crate::life::Refused;

/// Why a call did not do what it was to do. Nothing has changed by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rules, or a constraint, say no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another node, or nobody, has the moment by now. Whoever hears this stops showing it at once.
    #[error("the lease of the moment {id} at epoch {epoch} is lost")]
    LeaseLost {
        /// The moment.
        id: MomentId,
        /// The claim that is over.
        epoch: i64,
    },
    /// Another node has the stream.
    #[error("the stream {track} of the channel {channel} is another node's")]
    StreamTaken {
        /// The channel.
        channel: String,
        /// The track.
        track: String,
    },
    /// The URL is of no known database.
    #[error("a store cannot be opened by a URL with {scheme}:; postgres: and sqlite: can")]
    Url {
        /// What stands before the first colon.
        scheme: String,
    },
    /// The tables are those of a newer version.
    #[error("the store has the tables of version {found}; this program knows them up to {known}")]
    Newer {
        /// What the store has.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// A row has a value that this program never writes.
    #[error("the store has the {column} {value:?}, which means nothing")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// A constraint that keeps a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    MomentId,
    Idempotency,
    OneSubmitted,
    OneLive,
    Receipt,
    ReceiptOfMoment,
}

impl Unique {
    /// Its name in PostgreSQL, and what SQLite says instead of a name: the columns.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::MomentId => ("moments_pkey", "moments.id"),
            Self::Idempotency => (
                "moments_idem",
                "moments.channel_id, moments.viewer_opaque, moments.idempotency_key",
            ),
            Self::OneSubmitted => (
                "moments_one_submitted",
                "moments.channel_id, moments.viewer_opaque",
            ),
            Self::OneLive => ("moments_one_live", "moments.channel_id"),
            Self::Receipt => ("receipts_pkey", "receipts.source, receipts.transaction_id"),
            Self::ReceiptOfMoment => ("receipts_moment", "receipts.moment_id"),
        }
    }

    /// Whether this is what the database refused.
    pub(super) fn refused(self, error: &sqlx::Error) -> bool {
        let Some(error) = error.as_database_error() else {
            return false;
        };
        let (name, columns) = self.names();
        let said = error
            .message()
            .strip_prefix("UNIQUE constraint failed: ")
            .unwrap_or_default();
        error.is_unique_violation() && (error.constraint() == Some(name) || said == columns)
    }
}
