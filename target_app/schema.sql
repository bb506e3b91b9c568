-- Everything that must survive: accounts, the graph, posts, and what has to be told to others.
--
-- Each write is one function call: one statement is one transaction and one round trip, so that a
-- slow edge costs a write its latency once, and no lock is held while the client is waited for.

CREATE TABLE accounts (
    user_id bigint PRIMARY KEY,
    handle text NOT NULL UNIQUE,
    display_name text NOT NULL,
    password_salt bytea NOT NULL,
    password_hash bytea NOT NULL,
    -- scrypt's cost as a power of two, kept per account so that it can change
    password_log2_n smallint NOT NULL
);

-- One row per account. It is also the lock that orders follows and blocks of the same people.
CREATE TABLE user_counts (
    user_id bigint PRIMARY KEY,
    followers integer NOT NULL DEFAULT 0,
    following integer NOT NULL DEFAULT 0,
    posts integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- Directed associations, each with its inverse:
-- 1 follows, 2 followed_by, 3 blocks, 4 blocked_by, 5 likes, 6 liked_by
CREATE TABLE assocs (
    kind smallint NOT NULL,
    from_id bigint NOT NULL,
    to_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, from_id, to_id)
);

-- A post's id holds its time and the logical shard of its author.
CREATE TABLE posts (
    post_id bigint PRIMARY KEY,
    author_id bigint NOT NULL,
    reply_to bigint,
    likes integer NOT NULL DEFAULT 0,
    replies integer NOT NULL DEFAULT 0,
    text text NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX posts_by_author ON posts (author_id, post_id DESC);
CREATE INDEX posts_by_parent ON posts (reply_to, post_id) WHERE reply_to IS NOT NULL;

-- The idempotency keys of posts.
CREATE TABLE post_keys (
    author_id bigint NOT NULL,
    idempotency_key text NOT NULL,
    post_id bigint NOT NULL,
    PRIMARY KEY (author_id, idempotency_key)
);

-- Events that must reach the stream, written in the transaction of what they tell.
-- kind: post.created, follow.added, follow.removed, block.added, block.removed, like.added,
-- like.removed; payload: a JSON object as text.
CREATE TABLE outbox (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    payload text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz
);
CREATE INDEX outbox_unsent ON outbox (event_id) WHERE sent_at IS NULL;

CREATE FUNCTION is_blocked(one bigint, other bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM assocs WHERE kind IN (3, 4) AND from_id = one AND to_id = other
    )
$$;

CREATE FUNCTION tell(event_kind text, event_payload json) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO outbox (kind, payload) VALUES (event_kind, event_payload::text)
$$;

-- Lock the rows of two users in one order for everybody, so that two calls about the same people
-- wait for each other and never deadlock. False if one of them does not exist.
CREATE FUNCTION lock_pair(one bigint, other bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    found_rows integer;
BEGIN
    PERFORM FROM user_counts WHERE user_id IN (one, other) ORDER BY user_id FOR UPDATE;
    GET DIAGNOSTICS found_rows = ROW_COUNT;
    RETURN found_rows = 2;
END
$$;

-- Both directions and both counts of a follow; true if there was one.
CREATE FUNCTION drop_follow(follower bigint, followed bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM assocs WHERE kind = 1 AND from_id = follower AND to_id = followed;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM assocs WHERE kind = 2 AND from_id = followed AND to_id = follower;
    UPDATE user_counts SET following = following - 1 WHERE user_id = follower;
    UPDATE user_counts SET followers = followers - 1 WHERE user_id = followed;
    PERFORM tell('follow.removed', json_build_object('from', follower, 'to', followed));
    RETURN true;
END
$$;

-- The functions below answer with a word: done, unchanged, unknown (no such user or post), blocked.

CREATE FUNCTION add_follow(follower bigint, followed bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT lock_pair(follower, followed) THEN
        RETURN 'unknown';
    END IF;
    IF is_blocked(follower, followed) THEN
        RETURN 'blocked';
    END IF;
    INSERT INTO assocs (kind, from_id, to_id) VALUES (1, follower, followed)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'unchanged';
    END IF;
    INSERT INTO assocs (kind, from_id, to_id) VALUES (2, followed, follower);
    UPDATE user_counts SET following = following + 1 WHERE user_id = follower;
    UPDATE user_counts SET followers = followers + 1 WHERE user_id = followed;
    PERFORM tell('follow.added', json_build_object('from', follower, 'to', followed));
    RETURN 'done';
END
$$;

CREATE FUNCTION remove_follow(follower bigint, followed bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT lock_pair(follower, followed) THEN
        RETURN 'unknown';
    END IF;
    RETURN CASE WHEN drop_follow(follower, followed) THEN 'done' ELSE 'unchanged' END;
END
$$;

-- A block ends following both ways, in the same transaction.
CREATE FUNCTION add_block(blocker bigint, blocked bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT lock_pair(blocker, blocked) THEN
        RETURN 'unknown';
    END IF;
    PERFORM drop_follow(blocker, blocked), drop_follow(blocked, blocker);
    INSERT INTO assocs (kind, from_id, to_id) VALUES (3, blocker, blocked)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'unchanged';
    END IF;
    INSERT INTO assocs (kind, from_id, to_id) VALUES (4, blocked, blocker);
    PERFORM tell('block.added', json_build_object('from', blocker, 'to', blocked));
    RETURN 'done';
END
$$;

CREATE FUNCTION remove_block(blocker bigint, blocked bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT lock_pair(blocker, blocked) THEN
        RETURN 'unknown';
    END IF;
    DELETE FROM assocs WHERE kind = 3 AND from_id = blocker AND to_id = blocked;
    IF NOT FOUND THEN
        RETURN 'unchanged';
    END IF;
    DELETE FROM assocs WHERE kind = 4 AND from_id = blocked AND to_id = blocker;
    PERFORM tell('block.removed', json_build_object('from', blocker, 'to', blocked));
    RETURN 'done';
END
$$;

CREATE FUNCTION add_like(liker bigint, liked bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    author bigint;
BEGIN
    SELECT author_id INTO author FROM posts WHERE post_id = liked;
    IF NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    IF is_blocked(liker, author) THEN
        RETURN 'blocked';
    END IF;
    INSERT INTO assocs (kind, from_id, to_id) VALUES (5, liker, liked) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'unchanged';
    END IF;
    INSERT INTO assocs (kind, from_id, to_id) VALUES (6, liked, liker);
    UPDATE posts SET likes = likes + 1 WHERE post_id = liked;
    PERFORM tell('like.added',
        json_build_object('from', liker, 'to', liked, 'author_id', author));
    RETURN 'done';
END
$$;

CREATE FUNCTION remove_like(liker bigint, liked bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM assocs WHERE kind = 5 AND from_id = liker AND to_id = liked;
    IF NOT FOUND THEN
        RETURN 'unchanged';
    END IF;
    DELETE FROM assocs WHERE kind = 6 AND from_id = liked AND to_id = liker;
    UPDATE posts SET likes = likes - 1 WHERE post_id = liked;
    PERFORM tell('like.removed', json_build_object('from', liker, 'to', liked));
    RETURN 'done';
END
$$;

-- Make a post, or find the one that this key made before: then outcome is unchanged and post_id is
-- that of the first. Two calls at once with one key wait for each other at the key's row.
CREATE FUNCTION create_post(
    new_id bigint, author bigint, body text, parent bigint, key text,
    OUT outcome text, OUT post_id bigint
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    parent_author bigint;
BEGIN
    INSERT INTO post_keys (author_id, idempotency_key, post_id) VALUES (author, key, new_id)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT 'unchanged', post_keys.post_id INTO outcome, create_post.post_id
            FROM post_keys WHERE author_id = author AND idempotency_key = key;
        RETURN;
    END IF;
    IF parent IS NOT NULL THEN
        SELECT author_id INTO parent_author FROM posts WHERE posts.post_id = parent;
        IF NOT FOUND THEN
            outcome := 'unknown';
        ELSIF is_blocked(author, parent_author) THEN
            outcome := 'blocked';
        END IF;
    END IF;
    IF outcome IS NULL THEN
        UPDATE user_counts SET posts = posts + 1 WHERE user_id = author;
        IF NOT FOUND THEN
            outcome := 'unknown';
        END IF;
    END IF;
    IF outcome IS NOT NULL THEN
        -- The key must stay free for the corrected request.
        DELETE FROM post_keys WHERE author_id = author AND idempotency_key = key;
        RETURN;
    END IF;
    INSERT INTO posts (post_id, author_id, text, reply_to) VALUES (new_id, author, body, parent);
    UPDATE posts SET replies = replies + 1 WHERE posts.post_id = parent;
    PERFORM tell('post.created', json_build_object(
        'post_id', new_id, 'author_id', author, 'reply_to', parent, 'text', body));
    outcome := 'done';
    create_post.post_id := new_id;
END
$$;
