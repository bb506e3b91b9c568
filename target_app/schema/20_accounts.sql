-- One identity for both apps.

CREATE TABLE accounts (
    user_id bigint PRIMARY KEY,
    handle text NOT NULL UNIQUE,
    display_name text NOT NULL,
    bio text NOT NULL DEFAULT '',
    -- the SHA-256 of an image in the media store
    avatar text,
    is_private boolean NOT NULL DEFAULT false,
    -- which apps the account has joined: 1 photos, 2 threads, 3 both
    apps smallint NOT NULL DEFAULT 3,
    -- rises with each change: who changes something names the version that was seen
    version integer NOT NULL DEFAULT 1,
    deleted_at timestamptz,
    password_salt bytea NOT NULL,
    password_hash bytea NOT NULL,
    -- scrypt's cost as a power of two, kept per account so that it can change
    password_log2_n smallint NOT NULL
);
-- Handles are looked for by how they begin.
CREATE INDEX accounts_by_handle ON accounts (handle text_pattern_ops);

