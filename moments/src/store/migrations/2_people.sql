-- The same text for SQLite and PostgreSQL. Times are milliseconds since the Unix epoch. A subject names somebody
-- wherever one is named: 'person:ID' for an account of this server, 'twitch:ID' for one of Twitch.

CREATE TABLE people(
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    -- In lower case: one address is one account, however it is written.
    email_key TEXT NOT NULL CHECK(email_key <> ''),
    -- An argon2id hash in the PHC format, never a password.
    password TEXT NOT NULL CHECK(password LIKE '$argon2id$%'),
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX people_email ON people(email_key);

CREATE TABLE roles(
    channel_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    role TEXT NOT NULL CHECK(role IN ('streamer', 'mod', 'admin')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY(channel_id, subject),
    -- Who is admin is it everywhere, and nobody else is anything everywhere.
    CHECK((role = 'admin') = (channel_id = '*'))
);
-- A channel has one streamer.
CREATE UNIQUE INDEX roles_one_streamer ON roles(channel_id) WHERE role = 'streamer';
CREATE INDEX roles_subject ON roles(subject);

-- Which channel of a provider is which channel here, each one once.
CREATE TABLE channel_links(
    provider TEXT NOT NULL,
    external_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    PRIMARY KEY(provider, external_id)
);
CREATE UNIQUE INDEX channel_links_channel ON channel_links(provider, channel_id);

-- The number of the refresh token that is good now; one with a smaller number was used before.
ALTER TABLE sessions ADD COLUMN refresh_n BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN refreshed_at BIGINT NOT NULL DEFAULT 0;
-- The channel it is for; NULL for none, or for all.
ALTER TABLE sessions ADD COLUMN channel_id TEXT;
CREATE INDEX sessions_subject ON sessions(subject);
CREATE INDEX sessions_expiry ON sessions(expires_at);

CREATE TABLE api_keys(
    id TEXT PRIMARY KEY,
    -- SHA-256 of the key in hexadecimal; the key itself is told once and kept nowhere.
    hash TEXT NOT NULL CHECK(length(hash) = 64),
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    channel_id TEXT,
    label TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked BIGINT NOT NULL DEFAULT 0 CHECK(revoked IN (0, 1))
);
CREATE INDEX api_keys_subject ON api_keys(subject);
