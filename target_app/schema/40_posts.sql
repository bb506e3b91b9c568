-- Posts, replies and reposts with their likes.

-- A post's id holds its time and the logical shard of its author.
CREATE TABLE posts (
    post_id bigint PRIMARY KEY,
    author_id bigint NOT NULL,
    reply_to bigint,
    repost_of bigint,
    -- 1 visible, 2 waiting for review (shown to its author only), 3 deleted: a tombstone wins
    state smallint NOT NULL DEFAULT 1,
    -- the SHA-256 of images in the media store
    media text[] NOT NULL DEFAULT '{}',
    likes integer NOT NULL DEFAULT 0,
    replies integer NOT NULL DEFAULT 0,
    reposts integer NOT NULL DEFAULT 0,
    text text NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX posts_by_author ON posts (author_id, post_id DESC);
CREATE INDEX posts_by_parent ON posts (reply_to, post_id) WHERE reply_to IS NOT NULL;

-- The idempotency keys of posts, replies and reposts; body_hash tells a replay from another
-- request under the same key.
CREATE TABLE post_keys (
    author_id bigint NOT NULL,
    idempotency_key text NOT NULL,
    post_id bigint NOT NULL,
    body_hash bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (author_id, idempotency_key)
);

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
