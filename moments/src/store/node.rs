//! Nodes, and which of them has which stream.

use sqlx::Row as _;

use super::{Error, Store};
use crate::life::Ms;

/// The track that the publisher sends.
pub(super) const SOURCE: &str = "source";

/// A server of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Where others reach it.
    pub url: String,
    /// Where it is.
    pub region: String,
    /// What it can do, as JSON.
    pub capacity: String,
    /// What it does, as JSON.
    pub load: String,
    /// Whether it takes nothing new.
    pub draining: bool,
    /// Until when it is believed to live.
    pub seen_until: Ms,
}

/// A claim of one node on one track of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLease {
    /// The channel.
    pub channel: String,
    /// The track, as in `source`.
    pub track: String,
    /// The node.
    pub node: String,
    /// Counts the claims of the track.
    pub epoch: i64,
    /// Until when it holds without another call.
    pub lease_until: Ms,
}

impl Store {
    /// Says that a node lives, and what it has and does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn node_seen(&self, node: &Node) -> Result<(), Error> {
        let _turn = self.turn().await;
        sqlx::query(
            "INSERT INTO nodes(node_id, url, region, capacity, load, draining, seen_until) VALUES($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT(node_id) DO UPDATE SET url = excluded.url, region = excluded.region, capacity = excluded.capacity,
                load = excluded.load, draining = excluded.draining, seen_until = excluded.seen_until",
        )
        .bind(node.id.as_str())
        .bind(node.url.as_str())
        .bind(node.region.as_str())
        .bind(node.capacity.as_str())
        .bind(node.load.as_str())
        .bind(i64::from(node.draining))
        .bind(node.seen_until)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The nodes that live, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn nodes(&self, now: Ms) -> Result<Vec<Node>, Error> {
        let rows = sqlx::query("SELECT * FROM nodes WHERE seen_until > $1 ORDER BY node_id")
            .bind(now)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Node {
                    id: row.try_get("node_id")?,
                    url: row.try_get("url")?,
                    region: row.try_get("region")?,
                    capacity: row.try_get("capacity")?,
                    load: row.try_get("load")?,
                    draining: row.try_get::<i64, _>("draining")? != 0,
                    seen_until: row.try_get("seen_until")?,
                })
            })
            .collect()
    }

    /// Takes a track that nobody has, or that this node has already, and holds it for another lease.
    ///
    /// # Errors
    /// When another node has it.
    pub async fn hold_stream(
        &self,
        now: Ms,
        channel: &str,
        track: &str,
        node: &str,
    ) -> Result<StreamLease, Error> {
        let _turn = self.turn().await;
        let lease_until = now.saturating_add(self.limits.lease);
        let row = sqlx::query(
            "INSERT INTO streams(channel_id, track, node_id, epoch, lease_until) VALUES($1, $2, $3, 1, $4)
             ON CONFLICT(channel_id, track) DO UPDATE SET node_id = excluded.node_id, lease_until = excluded.lease_until,
                epoch = streams.epoch + CASE WHEN streams.node_id = excluded.node_id THEN 0 ELSE 1 END
             WHERE streams.node_id = excluded.node_id OR streams.lease_until <= $5
             RETURNING epoch",
        )
        .bind(channel)
        .bind(track)
        .bind(node)
        .bind(lease_until)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Err(Error::StreamTaken {
                channel: channel.to_owned(),
                track: track.to_owned(),
            });
        };
        Ok(StreamLease {
            channel: channel.to_owned(),
            track: track.to_owned(),
            node: node.to_owned(),
            epoch: row.try_get("epoch")?,
            lease_until,
        })
    }

    /// Gives a track up at once. One that is another's by now stays so.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_stream(&self, now: Ms, lease: &StreamLease) -> Result<(), Error> {
        let _turn = self.turn().await;
        sqlx::query(
            "UPDATE streams SET lease_until = $5
             WHERE channel_id = $1 AND track = $2 AND node_id = $3 AND epoch = $4 AND lease_until > $5",
        )
        .bind(lease.channel.as_str())
        .bind(lease.track.as_str())
        .bind(lease.node.as_str())
        .bind(lease.epoch)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Who has a track, if anybody does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stream(
        &self,
        now: Ms,
        channel: &str,
        track: &str,
    ) -> Result<Option<StreamLease>, Error> {
        let row = sqlx::query(
            "SELECT node_id, epoch, lease_until FROM streams
             WHERE channel_id = $1 AND track = $2 AND lease_until > $3",
        )
        .bind(channel)
        .bind(track)
        .bind(now)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(StreamLease {
                channel: channel.to_owned(),
                track: track.to_owned(),
                node: row.try_get("node_id")?,
                epoch: row.try_get("epoch")?,
                lease_until: row.try_get("lease_until")?,
            })
        })
        .transpose()
    }
}
