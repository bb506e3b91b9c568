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
CREATE INDEX accounts_deleted ON accounts (deleted_at) WHERE deleted_at IS NOT NULL;

-- The keys that sign tokens, by number; the secrets themselves are not stored here.
CREATE TABLE signing_keys (
    number integer PRIMARY KEY,
    announced_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO signing_keys (number, announced_at) VALUES (1, to_timestamp(0));

-- A new person joins both apps at once; false if the handle is taken.
CREATE FUNCTION add_account(
    new_id bigint, new_handle text, new_name text,
    salt bytea, hash bytea, log2_n smallint, import_follows boolean
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts
        (user_id, handle, display_name, password_salt, password_hash, password_log2_n)
        VALUES (new_id, new_handle, new_name, salt, hash, log2_n) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO user_counts (user_id) VALUES (new_id);
    PERFORM tell('account.joined', json_build_object('user_id', new_id, 'app', 2,
        'handle', new_handle, 'version', 1, 'import_follows', import_follows));
    RETURN true;
END
$$;

-- Somebody of photos joins threads; false if they are there already.
CREATE FUNCTION join_threads(joining_id bigint, new_name text, import_follows boolean)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    joined accounts;
BEGIN
    UPDATE accounts SET apps = apps | 2, display_name = new_name, version = version + 1
        WHERE user_id = joining_id AND apps & 2 = 0 AND deleted_at IS NULL
        RETURNING * INTO joined;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM tell('account.joined', json_build_object('user_id', joining_id, 'app', 2,
        'handle', joined.handle, 'version', joined.version, 'import_follows', import_follows));
    RETURN true;
END
$$;

-- Change what is not NULL if the account still is what the caller saw: done, stale, handle_taken
-- or unknown. Of two changes at once, from whichever app, the second finds another version.
CREATE FUNCTION change_account(
    changed_id bigint, seen_version integer,
    new_handle text, new_name text, new_bio text, new_avatar text, new_private boolean
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    old accounts;
BEGIN
    SELECT * INTO old FROM accounts
        WHERE user_id = changed_id AND deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    ELSIF old.version <> seen_version THEN
        RETURN 'stale';
    END IF;
    UPDATE accounts SET
        handle = coalesce(new_handle, handle),
        display_name = coalesce(new_name, display_name),
        bio = coalesce(new_bio, bio),
        -- an empty avatar takes the picture away
        avatar = nullif(coalesce(new_avatar, avatar), ''),
        is_private = coalesce(new_private, is_private),
        version = version + 1
        WHERE user_id = changed_id;
    PERFORM tell('account.changed', json_build_object('user_id', changed_id, 'app', old.apps,
        'handle', coalesce(new_handle, old.handle), 'old_handle', old.handle,
        'version', seen_version + 1));
    RETURN 'done';
EXCEPTION WHEN unique_violation THEN
    RETURN 'handle_taken';
END
$$;

-- Leave a tombstone that names nobody: the handle is free again, the id never is. Posts, photos
-- and associations go with the event, whose consumer calls the graph.
CREATE FUNCTION delete_account(gone_id bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    old accounts;
BEGIN
    SELECT * INTO old FROM accounts
        WHERE user_id = gone_id AND deleted_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE accounts SET deleted_at = now(), handle = '-' || gone_id, display_name = '',
        bio = '', avatar = NULL, version = version + 1, password_hash = ''
        WHERE user_id = gone_id;
    PERFORM tell('account.deleted', json_build_object('user_id', gone_id, 'app', old.apps,
        'handle', old.handle, 'old_handle', old.handle, 'version', old.version + 1));
    RETURN true;
END
$$;
