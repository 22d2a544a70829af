//! What it takes to know people: their store, their passwords, their sessions, and Twitch. Knows nothing of HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reverie_config::{Config, Secret};
use reverie_moments::store::{
    self, Person, ProviderToken, Refreshed, Registered, Role, Session as Row, Store,
};

use crate::auth::extension::{Extension, Visitor};
use crate::auth::oauth::{Client, Tokens, User};
use crate::auth::password::{Passwords, Unhashed};
use crate::auth::seal::Sealer;
use crate::auth::session::{LIFE, Rank, Session, Signer};
use crate::auth::token::Unsigned;
use crate::auth::{keys, oauth};
use crate::session::{Entropy, random_name};

/// How long somebody stays signed in without giving their password again.
pub(crate) const STAY: Duration = Duration::from_secs(30 * 86_400);
/// How long after a refresh the one before is answered with the same again.
const GRACE_MS: i64 = 10_000;
/// Twitch, among the services that know channels.
pub(crate) const TWITCH: &str = "twitch";
/// What channels of Twitch are called here that nobody has tied to another one; nobody else can take such a name.
pub(crate) const RESERVED: &str = "twitch-";
/// Sessions of the extension are in no table unless they were ended: Twitch's own tokens prolong them.
const OF_EXTENSION: &str = "ext-";
/// Sessions that stand for an API key while one request is served.
const OF_KEY: &str = "key-";

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the e-mail address or the password is wrong")]
    Credentials,
    #[error("the e-mail address {0:?} is none")]
    Email(String),
    #[error("the e-mail address has an account already")]
    Taken,
    #[error("channel {0:?} belongs to somebody, or was made by who runs this server")]
    ChannelTaken(String),
    #[error("you are nothing on channel {0:?}")]
    NoRole(String),
    #[error("the refresh token is not good any more")]
    Refresh,
    #[error(transparent)]
    Password(#[from] Unhashed),
    #[error(transparent)]
    Twitch(#[from] oauth::Failed),
    #[error("the store failed")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    #[error(transparent)]
    Entropy(#[from] Entropy),
}

/// Somebody who was let in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) session: Session,
    /// The session token; not for logs.
    pub(crate) token: Secretly,
    /// The refresh token, where there is one; not for logs.
    pub(crate) refresh: Option<Secretly>,
}

/// A text that `Debug` does not show.
#[derive(Clone)]
pub(crate) struct Secretly(pub(crate) String);

impl std::fmt::Debug for Secretly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) store: Store,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) extension: Option<Extension>,
    pub(crate) twitch: Option<Client>,
    /// Signs tokens for WHIP and WHEP.
    pub(crate) media: Secret,
    signer: Signer,
    passwords: Passwords,
}

impl Identity {
    /// `None` without a key for sessions. Takes as long as one hash of a password. Blocks.
    pub(crate) fn new(config: &Config, store: Store) -> Result<Option<Self>, Unhashed> {
        let auth = &config.auth;
        let (Some(key), Some(media)) = (&auth.session_key, keys::of_media(auth)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            store,
            sealer: auth.sealing_key.as_ref().and_then(Sealer::new),
            extension: Extension::new(&config.twitch.extension_secrets),
            twitch: Client::new(&config.twitch),
            media,
            signer: Signer::new(key),
            passwords: Passwords::new()?,
        }))
    }

    /// Makes an account, and with it a channel that nobody has.
    pub(crate) async fn register(
        &self,
        email: &str,
        password: String,
        channel: Option<&str>,
    ) -> Result<Entered, Refused> {
        let email = address(email)?;
        // Before the password costs anything.
        if self.store.person_by_email(email).await?.is_some() {
            return Err(Refused::Taken);
        }
        let person = Person {
            id: random_name(16)?,
            email: email.to_owned(),
            password: self.passwords.hash(password).await?,
            created_at: now_ms(),
        };
        let reserved = |channel: &&str| channel.starts_with(RESERVED);
        if let Some(channel) = channel.filter(reserved) {
            return Err(Refused::ChannelTaken(channel.to_owned()));
        }
        match self.store.register(&person, channel).await? {
            Registered::Done => self.enter(&person.subject(), channel).await,
            Registered::EmailTaken => Err(Refused::Taken),
            Registered::ChannelTaken => Err(Refused::ChannelTaken(
                channel.unwrap_or_default().to_owned(),
            )),
        }
    }

    /// Lets somebody in who has an account, for a channel of theirs or as a viewer.
    pub(crate) async fn login(
        &self,
        email: &str,
        password: String,
        channel: Option<&str>,
    ) -> Result<Entered, Refused> {
        let person = self.store.person_by_email(email).await?;
        let hash = person.as_ref().map(|person| person.password.clone());
        let right = self.passwords.matches(password, hash).await?;
        let person = person.filter(|_| right).ok_or(Refused::Credentials)?;
        self.enter(&person.subject(), channel).await
    }

    /// The next session token for a refresh token, with what the person is now.
    pub(crate) async fn refresh(&self, token: &str) -> Result<Entered, Refused> {
        let (id, n) = self.signer.read_refresh(token).ok_or(Refused::Refresh)?;
        let found = self
            .store
            .refresh_session(now_ms(), id, n, GRACE_MS)
            .await?;
        let row = match found {
            Refreshed::Next(row) | Refreshed::Again(row) => row,
            Refreshed::Reused => {
                tracing::warn!(
                    session = id,
                    "a refresh token was used twice; the session is over"
                );
                return Err(Refused::Refresh);
            }
            Refreshed::Gone => return Err(Refused::Refresh),
        };
        match self.rank(&row.subject, row.channel.as_deref()).await {
            Ok((rank, channel)) => self.signed(&row, rank, channel),
            Err(refused) => {
                // What it was for was taken from them.
                self.store.end_session(id).await?;
                Err(refused)
            }
        }
    }

    /// Ends a session.
    pub(crate) async fn leave(&self, session: &Session) -> Result<(), Refused> {
        if session.id.starts_with(OF_EXTENSION) {
            let row = Row {
                id: session.id.clone(),
                subject: session.subject.clone(),
                role: session.rank.name().to_owned(),
                channel: session.channel.clone(),
                expires_at: now_ms() + millis(2 * LIFE),
                refresh_n: 0,
            };
            if self.ended(session).await? {
                return Ok(());
            }
            self.store.open_session(now_ms(), &row).await?;
        }
        self.store.end_session(&session.id).await?;
        Ok(())
    }

    /// Ends the session of a refresh token.
    pub(crate) async fn leave_by(&self, refresh: &str) -> Result<(), Refused> {
        let (id, _) = self.signer.read_refresh(refresh).ok_or(Refused::Refresh)?;
        self.store.end_session(id).await?;
        Ok(())
    }

    /// Whether the session was ended before its token expired.
    pub(crate) async fn ended(&self, session: &Session) -> Result<bool, store::Error> {
        if session.id.starts_with(OF_KEY) {
            return Ok(false);
        }
        if session.id.starts_with(OF_EXTENSION) {
            return self.store.session_revoked(&session.id).await;
        }
        Ok(!self.store.session_lives(now_ms(), &session.id).await?)
    }

    /// A session for who looks at a panel of the extension.
    pub(crate) async fn visit(&self, visitor: &Visitor) -> Result<Entered, Refused> {
        let channel = self.channel_of(&visitor.channel).await?;
        let subject = match visitor.rank {
            Rank::Streamer => self.owner(&channel, &visitor.channel).await?,
            _ => format!("twitch-opaque:{}", visitor.opaque),
        };
        let session = Session {
            rank: visitor.rank,
            subject,
            channel: Some(channel),
            id: format!("{OF_EXTENSION}{}", random_name(16)?),
            user: visitor.user.clone(),
        };
        let token = self.signer.mint(&session, now_s(), LIFE)?;
        Ok(Entered {
            session,
            token: Secretly(token),
            refresh: None,
        })
    }

    /// Lets an account of Twitch in: as the streamer of the channel that it is tied to, or of one of its own.
    pub(crate) async fn come_by_twitch(&self, user: &User) -> Result<Entered, Refused> {
        let channel = self.channel_of(&user.id).await?;
        if channel == own_channel(&user.id) {
            let subject = of_twitch(&user.id);
            self.store
                .claim_channel(now_ms(), &channel, &subject)
                .await?;
        }
        let subject = self.owner(&channel, &user.id).await?;
        let role = self.store.role(&channel, &subject).await?;
        self.enter(&subject, role.map(|_| channel.as_str())).await
    }

    /// Ties a channel to an account of Twitch and keeps its tokens, sealed.
    pub(crate) async fn tie(
        &self,
        sealer: &Sealer,
        channel: &str,
        user: &User,
        tokens: &Tokens,
    ) -> Result<(), Refused> {
        let clear = serde_json::to_string(tokens).map_err(|_| oauth::Failed::Answer)?;
        let sealed = sealer
            .seal(&sealed_for(channel), &clear)
            .map_err(|_| Entropy)?;
        self.store.link_channel(TWITCH, &user.id, channel).await?;
        let lasts = i64::try_from(tokens.expires_in).unwrap_or(0);
        self.store
            .keep_token(&ProviderToken {
                channel: channel.to_owned(),
                provider: TWITCH.to_owned(),
                subject: user.id.clone(),
                scopes: tokens.scope.join(" "),
                sealed,
                expires_at: now_ms() + lasts.saturating_mul(1000),
            })
            .await?;
        Ok(())
    }

    /// A session that lasts for `life` and has no refresh token: for links.
    pub(crate) async fn link(
        &self,
        subject: &str,
        rank: Rank,
        channel: &str,
        life: Duration,
    ) -> Result<(String, Secretly), Refused> {
        let row = self.row(subject, rank, Some(channel), life)?;
        self.store.open_session(now_ms(), &row).await?;
        let session = session_of(&row, rank, Some(channel.to_owned()));
        let token = self.signer.mint(&session, now_s(), life)?;
        Ok((row.id, Secretly(token)))
    }

    /// A session token in the place of an API key, for one request.
    pub(crate) async fn stand_in(&self, key: &str) -> Result<Option<Secretly>, Refused> {
        let Some((id, hash)) = keys::read_key(key) else {
            return Ok(None);
        };
        let Some(key) = self.store.key(now_ms(), id, &hash).await? else {
            return Ok(None);
        };
        // What its owner is not any more, the key is neither.
        let held = match &key.channel {
            Some(channel) => self
                .store
                .role(channel, &key.subject)
                .await?
                .map(Rank::from),
            None => None,
        };
        let wanted = Rank::named(&key.role);
        let Some(rank) = held.zip(wanted).map(|(held, wanted)| held.min(wanted)) else {
            return Ok(None);
        };
        let session = Session {
            rank,
            subject: key.subject,
            channel: key.channel,
            id: format!("{OF_KEY}{}", key.id),
            user: None,
        };
        let token = self
            .signer
            .mint(&session, now_s(), Duration::from_secs(60))?;
        Ok(Some(Secretly(token)))
    }

    async fn enter(&self, subject: &str, channel: Option<&str>) -> Result<Entered, Refused> {
        let (rank, channel) = match channel {
            Some(channel) => self.rank(subject, Some(channel)).await?,
            None => self.best(subject).await?,
        };
        let row = self.row(subject, rank, channel.as_deref(), STAY)?;
        self.store.open_session(now_ms(), &row).await?;
        self.signed(&row, rank, channel)
    }

    /// What somebody is on a channel; a viewer without one.
    async fn rank(
        &self,
        subject: &str,
        channel: Option<&str>,
    ) -> Result<(Rank, Option<String>), Refused> {
        let Some(channel) = channel else {
            let (rank, _) = self.best(subject).await?;
            // Whoever is something by now signs in again, or asks for it by the channel.
            let rank = if rank == Rank::Admin {
                rank
            } else {
                Rank::Viewer
            };
            return Ok((rank, None));
        };
        let role = self.store.role(channel, subject).await?;
        let role = role.ok_or_else(|| Refused::NoRole(channel.to_owned()))?;
        let everywhere = role == Role::Admin;
        Ok((role.into(), (!everywhere).then(|| channel.to_owned())))
    }

    /// The first of what somebody is; an admin before all.
    async fn best(&self, subject: &str) -> Result<(Rank, Option<String>), Refused> {
        let roles = self.store.roles(subject).await?;
        if roles.iter().any(|(_, role)| *role == Role::Admin) {
            return Ok((Rank::Admin, None));
        }
        let own = roles.iter().find(|(_, role)| *role == Role::Streamer);
        let first = own.or(roles.first());
        Ok(match first {
            Some((channel, role)) => ((*role).into(), Some(channel.clone())),
            None => (Rank::Viewer, None),
        })
    }

    fn row(
        &self,
        subject: &str,
        rank: Rank,
        channel: Option<&str>,
        life: Duration,
    ) -> Result<Row, Refused> {
        Ok(Row {
            id: random_name(16)?,
            subject: subject.to_owned(),
            role: rank.name().to_owned(),
            channel: channel.map(str::to_owned),
            expires_at: now_ms() + millis(life),
            refresh_n: 0,
        })
    }

    fn signed(&self, row: &Row, rank: Rank, channel: Option<String>) -> Result<Entered, Refused> {
        let session = session_of(row, rank, channel);
        let token = self.signer.mint(&session, now_s(), LIFE)?;
        Ok(Entered {
            session,
            token: Secretly(token),
            refresh: Some(Secretly(self.signer.refresh(&row.id, row.refresh_n))),
        })
    }

    /// Whoever ties a channel to an account of Twitch is its streamer by that account too.
    async fn owner(&self, channel: &str, id: &str) -> Result<String, Refused> {
        let streamer = self.store.streamer(channel).await?;
        Ok(streamer.unwrap_or_else(|| of_twitch(id)))
    }

    /// The channel here of a channel at Twitch.
    async fn channel_of(&self, id: &str) -> Result<String, Refused> {
        let linked = self.store.linked_channel(TWITCH, id).await?;
        Ok(linked.unwrap_or_else(|| own_channel(id)))
    }
}

/// What the tokens of a channel's account at Twitch are sealed for.
pub(crate) fn sealed_for(channel: &str) -> String {
    format!("{TWITCH}/{channel}")
}

/// Opens what it takes to know people; `None` without a key for sessions.
pub(crate) async fn open(
    config: &Config,
    store: Option<Store>,
) -> Result<Option<Arc<Identity>>, Unhashed> {
    let Some(store) = store else {
        return Ok(None);
    };
    let config = config.clone();
    // A hash takes its time.
    let made = tokio::task::spawn_blocking(move || Identity::new(&config, store)).await;
    Ok(made.map_err(|_| Unhashed::Failed)??.map(Arc::new))
}

pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    millis(now.unwrap_or_default())
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn session_of(row: &Row, rank: Rank, channel: Option<String>) -> Session {
    Session {
        rank,
        subject: row.subject.clone(),
        channel,
        id: row.id.clone(),
        user: row.subject.strip_prefix("twitch:").map(str::to_owned),
    }
}

fn of_twitch(id: &str) -> String {
    format!("{TWITCH}:{id}")
}

/// What a channel of Twitch is called here while nobody has tied it to another one.
pub(crate) fn own_channel(id: &str) -> String {
    format!("{RESERVED}{id}")
}

/// Something with one @ in it; whether anybody reads it there, only a letter could tell.
fn address(text: &str) -> Result<&str, Refused> {
    let text = text.trim();
    let plain = text.len() <= 254 && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let parts = text.split_once('@');
    let whole = parts.is_some_and(|(who, at)| {
        !who.is_empty() && !at.is_empty() && !at.contains('@') && !at.starts_with('.')
    });
    (plain && whole)
        .then_some(text)
        .ok_or_else(|| Refused::Email(text.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_something_on_both_sides_of_one_at() {
        for good in ["a@b", " ann@example.org ", "jürgen@exämple.org"] {
            assert!(address(good).is_ok(), "{good}");
        }
        let long = format!("{}@b", "x".repeat(254));
        for bad in [
            "", "a", "@b", "a@", "a@b@c", "a b@c", "a@.b", "a\n@b", &long,
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_that_was_given_shows_in_no_debug_output() {
        assert_eq!(format!("{:?}", Secretly("hunter2".to_owned())), "***");
    }
}
