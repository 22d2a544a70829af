-- The same text for SQLite and PostgreSQL. Times are milliseconds since the Unix epoch; JSON and flags are TEXT and 0 or 1.

-- Every change of a channel's moments updates its row first, which puts them in one order: event_n and next_seq count on.
CREATE TABLE channels(
    channel_id TEXT PRIMARY KEY,
    owner_id TEXT,
    settings TEXT NOT NULL DEFAULT '{}',
    settings_version BIGINT NOT NULL DEFAULT 0,
    policy TEXT NOT NULL DEFAULT 'manual' CHECK(policy IN ('manual', 'auto', 'off')),
    paused BIGINT NOT NULL DEFAULT 0 CHECK(paused IN (0, 1)),
    ready_at BIGINT NOT NULL DEFAULT 0,
    event_n BIGINT NOT NULL DEFAULT 0,
    next_seq BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL
);

CREATE TABLE moments(
    id TEXT PRIMARY KEY,
    channel_id TEXT NOT NULL REFERENCES channels(channel_id),
    seq BIGINT NOT NULL,
    state TEXT NOT NULL CHECK(state IN ('submitted', 'pending_approval', 'queued', 'warming', 'active',
                                        'completed', 'rejected', 'expired', 'failed', 'cancelled')),
    viewer_opaque TEXT NOT NULL,
    viewer_id TEXT,
    viewer_name TEXT,
    source TEXT NOT NULL CHECK(source IN ('bits', 'credit', 'free', 'streamer')),
    sku TEXT NOT NULL,
    price BIGINT NOT NULL CHECK(price >= 0),
    prompt TEXT NOT NULL,
    params TEXT NOT NULL DEFAULT '{}',
    duration_ms BIGINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    reason TEXT,
    compensation TEXT NOT NULL DEFAULT 'none' CHECK(compensation IN ('none', 'credited')),
    owner TEXT,
    lease_until BIGINT NOT NULL DEFAULT 0,
    epoch BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    not_before BIGINT NOT NULL DEFAULT 0,
    deadline BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    version BIGINT NOT NULL DEFAULT 0
);
-- The same idempotency key is the same moment.
CREATE UNIQUE INDEX moments_idem ON moments(channel_id, viewer_opaque, idempotency_key);
-- One moment of a channel is live.
CREATE UNIQUE INDEX moments_one_live ON moments(channel_id) WHERE state IN ('warming', 'active');
-- A viewer pays for one moment at a time.
CREATE UNIQUE INDEX moments_one_submitted ON moments(channel_id, viewer_opaque) WHERE state = 'submitted';
CREATE INDEX moments_open ON moments(channel_id) WHERE state IN ('submitted', 'pending_approval', 'queued', 'warming', 'active');
CREATE INDEX moments_queue ON moments(channel_id, seq) WHERE state = 'queued';
CREATE INDEX moments_reap ON moments(deadline) WHERE state IN ('submitted', 'pending_approval', 'queued', 'warming', 'active');
CREATE INDEX moments_viewer ON moments(viewer_opaque, created_at);
CREATE INDEX moments_ended ON moments(ended_at) WHERE ended_at IS NOT NULL AND prompt <> '';

-- A receipt counts once, and a moment is paid by one.
CREATE TABLE receipts(
    source TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    moment_id TEXT,
    channel_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    amount BIGINT NOT NULL,
    raw TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY(source, transaction_id)
);
CREATE UNIQUE INDEX receipts_moment ON receipts(moment_id) WHERE moment_id IS NOT NULL;

-- A credit is given once.
CREATE TABLE ledger(
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    delta BIGINT NOT NULL,
    unit TEXT NOT NULL,
    ref TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE UNIQUE INDEX ledger_once ON ledger(account, unit, ref, reason);

-- The sum of each account's ledger. Nobody spends what is not there.
CREATE TABLE accounts(
    account TEXT NOT NULL,
    unit TEXT NOT NULL,
    balance BIGINT NOT NULL CHECK(balance >= 0),
    PRIMARY KEY(account, unit)
);

CREATE TABLE moment_events(
    n BIGINT NOT NULL,
    channel_id TEXT NOT NULL,
    moment_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY(channel_id, n)
);

CREATE TABLE outbox(
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT NOT NULL,
    done_at BIGINT
);
CREATE INDEX outbox_due ON outbox(next_at) WHERE done_at IS NULL;

CREATE TABLE nodes(
    node_id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    region TEXT NOT NULL DEFAULT '',
    capacity TEXT NOT NULL DEFAULT '{}',
    load TEXT NOT NULL DEFAULT '{}',
    draining BIGINT NOT NULL DEFAULT 0 CHECK(draining IN (0, 1)),
    seen_until BIGINT NOT NULL
);

CREATE TABLE streams(
    channel_id TEXT NOT NULL,
    track TEXT NOT NULL,
    node_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY(channel_id, track)
);

CREATE TABLE tokens(
    channel_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    scopes TEXT NOT NULL,
    sealed TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY(channel_id, provider)
);

CREATE TABLE sessions(
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked BIGINT NOT NULL DEFAULT 0 CHECK(revoked IN (0, 1))
);

CREATE TABLE viewer_days(
    day TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    ip_hmac TEXT NOT NULL,
    PRIMARY KEY(day, channel_id, ip_hmac)
);

CREATE TABLE stream_runs(
    id TEXT PRIMARY KEY,
    channel_id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    peak_viewers BIGINT NOT NULL DEFAULT 0
);
