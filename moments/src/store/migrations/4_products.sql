-- What each channel offers, and which words it does not want. The version of a list is what its next change names.
CREATE TABLE catalogues(
    channel_id TEXT PRIMARY KEY REFERENCES channels(channel_id),
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE products(
    channel_id TEXT NOT NULL REFERENCES catalogues(channel_id),
    sku TEXT NOT NULL,
    place BIGINT NOT NULL,
    name TEXT NOT NULL,
    price BIGINT NOT NULL CHECK(price >= 0),
    duration_ms BIGINT NOT NULL CHECK(duration_ms > 0),
    pipeline TEXT,
    params TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY(channel_id, sku)
);

CREATE TABLE blocklists(
    channel_id TEXT PRIMARY KEY REFERENCES channels(channel_id),
    entries TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- How far the payments that a service knows of have been looked through.
CREATE TABLE reconciled(
    source TEXT PRIMARY KEY,
    until BIGINT NOT NULL
);
