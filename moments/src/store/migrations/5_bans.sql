-- Viewers of whom a channel takes nothing, each by the moment that was the occasion. Without an end it lasts until it is lifted.
CREATE TABLE bans(
    channel_id TEXT NOT NULL REFERENCES channels(channel_id),
    viewer_opaque TEXT NOT NULL,
    viewer_id TEXT,
    viewer_name TEXT,
    moment_id TEXT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT,
    PRIMARY KEY(channel_id, viewer_opaque)
);
CREATE UNIQUE INDEX bans_moment ON bans(channel_id, moment_id);
-- Somebody who shared who they are is the same person under another opaque id.
CREATE INDEX bans_viewer ON bans(channel_id, viewer_id) WHERE viewer_id IS NOT NULL;
