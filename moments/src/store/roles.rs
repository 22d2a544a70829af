//! Who is what: the streamer and the moderators of a channel, admins of all, and channels that other services know.

use sqlx::{Any, Row as _, Transaction};

use super::row::corrupt;
use super::{Error, Store};
use crate::life::Ms;

/// The channel of admins, which no channel can be named.
const EVERYWHERE: &str = "*";

/// What somebody is in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Approves and rejects, starts and stops.
    Mod,
    /// Owns the channel.
    Streamer,
    /// May do everything, in every channel.
    Admin,
}

impl Role {
    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Mod, Self::Streamer, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == name)
    }

    /// Its name in tables and tokens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mod => "mod",
            Self::Streamer => "streamer",
            Self::Admin => "admin",
        }
    }
}

impl Store {
    /// Makes the channel with this subject as its streamer; `false` if it is another's, or was made without one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_channel(
        &self,
        now: Ms,
        channel: &str,
        subject: &str,
    ) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let mut tx = self.engine.begin(&self.pool).await?;
        let claimed = claim(&mut tx, now, channel, subject).await?;
        if claimed {
            tx.commit().await?;
        }
        Ok(claimed)
    }

    /// Whose channel it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn streamer(&self, channel: &str) -> Result<Option<String>, Error> {
        let subject = sqlx::query_scalar(
            "SELECT subject FROM roles WHERE channel_id = $1 AND role = 'streamer'",
        )
        .bind(channel)
        .fetch_optional(&self.pool)
        .await?;
        Ok(subject)
    }

    /// Makes somebody a moderator of a channel, or an admin of all (`channel` is not looked at); who is more already
    /// stays it.
    ///
    /// # Errors
    /// When the channel has another streamer, or the database fails.
    pub async fn grant(
        &self,
        now: Ms,
        channel: &str,
        subject: &str,
        role: Role,
    ) -> Result<(), Error> {
        let _turn = self.turn().await;
        let mut tx = self.engine.begin(&self.pool).await?;
        put(&mut tx, now, place(channel, role), subject, role).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes a role back; `false` if it was not theirs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn withdraw(&self, channel: &str, subject: &str, role: Role) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let gone =
            sqlx::query("DELETE FROM roles WHERE channel_id = $1 AND subject = $2 AND role = $3")
                .bind(place(channel, role))
                .bind(subject)
                .bind(role.as_str())
                .execute(&self.pool)
                .await?;
        Ok(gone.rows_affected() == 1)
    }

    /// What somebody is in a channel; an admin is one in each.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn role(&self, channel: &str, subject: &str) -> Result<Option<Role>, Error> {
        let rows = sqlx::query(
            "SELECT role FROM roles WHERE subject = $1 AND (channel_id = $2 OR channel_id = '*')",
        )
        .bind(subject)
        .bind(channel)
        .fetch_all(&self.pool)
        .await?;
        let roles: Vec<Role> = rows.iter().map(read).collect::<Result<_, Error>>()?;
        Ok(roles.into_iter().max())
    }

    /// Everything that somebody is, by channel; an admin is it in `*`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn roles(&self, subject: &str) -> Result<Vec<(String, Role)>, Error> {
        let rows = sqlx::query(
            "SELECT channel_id, role FROM roles WHERE subject = $1 ORDER BY created_at, channel_id",
        )
        .bind(subject)
        .fetch_all(&self.pool)
        .await?;
        let entry = |row| Ok((sqlx::Row::try_get(row, "channel_id")?, read(row)?));
        rows.iter().map(entry).collect()
    }

    /// Ties a channel of another service to one of this server; either's earlier tie is gone by it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn link_channel(
        &self,
        provider: &str,
        external: &str,
        channel: &str,
    ) -> Result<(), Error> {
        let _turn = self.turn().await;
        let mut tx = self.engine.begin(&self.pool).await?;
        sqlx::query(
            "DELETE FROM channel_links WHERE provider = $1 AND (external_id = $2 OR channel_id = $3)",
        )
        .bind(provider)
        .bind(external)
        .bind(channel)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO channel_links(provider, external_id, channel_id) VALUES($1, $2, $3)",
        )
        .bind(provider)
        .bind(external)
        .bind(channel)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The channel here of a channel of another service.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn linked_channel(
        &self,
        provider: &str,
        external: &str,
    ) -> Result<Option<String>, Error> {
        let channel = sqlx::query_scalar(
            "SELECT channel_id FROM channel_links WHERE provider = $1 AND external_id = $2",
        )
        .bind(provider)
        .bind(external)
        .fetch_optional(&self.pool)
        .await?;
        Ok(channel)
    }
}

/// Makes the channel with this streamer, unless it is there already; `false` if it is another's then.
pub(super) async fn claim(
    tx: &mut Transaction<'static, Any>,
    now: Ms,
    channel: &str,
    subject: &str,
) -> Result<bool, Error> {
    sqlx::query(
        "INSERT INTO channels(channel_id, owner_id, created_at) VALUES($1, $2, $3)
         ON CONFLICT(channel_id) DO NOTHING",
    )
    .bind(channel)
    .bind(subject)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let owner: Option<String> =
        sqlx::query_scalar("SELECT owner_id FROM channels WHERE channel_id = $1")
            .bind(channel)
            .fetch_one(&mut **tx)
            .await?;
    if owner.as_deref() != Some(subject) {
        return Ok(false);
    }
    put(tx, now, channel, subject, Role::Streamer).await?;
    Ok(true)
}

fn place(channel: &str, role: Role) -> &str {
    match role {
        Role::Admin => EVERYWHERE,
        Role::Mod | Role::Streamer => channel,
    }
}

/// A streamer who is made moderator stays streamer.
async fn put(
    tx: &mut Transaction<'static, Any>,
    now: Ms,
    channel: &str,
    subject: &str,
    role: Role,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO roles(channel_id, subject, role, created_at) VALUES($1, $2, $3, $4)
         ON CONFLICT(channel_id, subject) DO UPDATE SET role = excluded.role WHERE roles.role = 'mod'",
    )
    .bind(channel)
    .bind(subject)
    .bind(role.as_str())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read(row: &sqlx::any::AnyRow) -> Result<Role, Error> {
    let name: String = row.try_get("role")?;
    Role::named(&name).ok_or_else(|| corrupt("role", &name))
}
