//! Rows as values.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Error;
use crate::id::MomentId;
use crate::life::{Compensation, Moment, Policy, Source, State, Viewer};
use crate::reason::Reason;

/// A row of `moments` with all its columns.
pub(super) fn moment(row: &AnyRow) -> Result<Moment, Error> {
    let reason: Option<String> = row.try_get("reason")?;
    let reason = reason
        .map(|text| Reason::restored(&text).ok_or_else(|| corrupt("reason", &text)))
        .transpose()?;
    Ok(Moment {
        id: MomentId::new(row.try_get::<String, _>("id")?),
        channel: row.try_get("channel_id")?,
        seq: row.try_get("seq")?,
        state: named(row, "state", State::named)?,
        viewer: Viewer {
            opaque: row.try_get("viewer_opaque")?,
            id: row.try_get("viewer_id")?,
            name: row.try_get("viewer_name")?,
        },
        source: named(row, "source", Source::named)?,
        sku: row.try_get("sku")?,
        price: row.try_get("price")?,
        prompt: row.try_get("prompt")?,
        params: row.try_get("params")?,
        duration: row.try_get("duration_ms")?,
        idempotency_key: row.try_get("idempotency_key")?,
        reason,
        compensation: named(row, "compensation", Compensation::named)?,
        owner: row.try_get("owner")?,
        lease_until: row.try_get("lease_until")?,
        epoch: row.try_get("epoch")?,
        attempts: row.try_get("attempts")?,
        not_before: row.try_get("not_before")?,
        deadline: row.try_get("deadline")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        version: row.try_get("version")?,
    })
}

/// The policy of a row of `channels`.
pub(super) fn policy(row: &AnyRow) -> Result<Policy, Error> {
    named(row, "policy", Policy::named)
}

fn named<T>(row: &AnyRow, column: &'static str, read: fn(&str) -> Option<T>) -> Result<T, Error> {
    let text: String = row.try_get(column)?;
    read(&text).ok_or_else(|| corrupt(column, &text))
}

pub(super) fn corrupt(column: &'static str, value: &str) -> Error {
    Error::Corrupt {
        column,
        value: value.to_owned(),
    }
}
