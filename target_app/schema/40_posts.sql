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
CREATE INDEX posts_waiting ON posts (post_id) WHERE state = 2;
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
    SELECT author_id INTO author FROM posts
        WHERE post_id = liked AND (state = 1 OR state = 2 AND author_id = liker);
    IF NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    IF is_blocked(liker, author) THEN
        RETURN 'blocked';
    END IF;
    IF is_hidden(liker, author, 2::smallint) THEN
        RETURN 'unknown';
    END IF;
    IF NOT tie(5::smallint, liker, liked) THEN
        RETURN 'unchanged';
    END IF;
    UPDATE posts SET likes = likes + 1 WHERE post_id = liked;
    PERFORM tell('like.added',
        json_build_object('from', liker, 'to', liked, 'author_id', author, 'app', 2));
    RETURN 'done';
END
$$;

CREATE FUNCTION remove_like(liker bigint, liked bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT untie(5::smallint, liker, liked) THEN
        RETURN 'unchanged';
    END IF;
    UPDATE posts SET likes = likes - 1 WHERE post_id = liked;
    PERFORM tell('like.removed', json_build_object('from', liker, 'to', liked, 'app', 2));
    RETURN 'done';
END
$$;

-- What a visible post adds to the counts of its author, its parent and what it reposts.
CREATE FUNCTION count_post(counted posts, step integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE user_counts SET posts = posts + step WHERE user_id = counted.author_id;
    UPDATE posts SET replies = replies + step WHERE post_id = counted.reply_to;
    UPDATE posts SET reposts = reposts + step WHERE post_id = counted.repost_of;
END
$$;

CREATE FUNCTION tell_of_post(event_kind text, told posts) RETURNS void
LANGUAGE sql AS $$
    SELECT tell(event_kind, json_build_object(
        'post_id', told.post_id, 'author_id', told.author_id, 'reply_to', told.reply_to,
        'parent_author_id', (
            SELECT author_id FROM posts
            WHERE post_id = coalesce(told.reply_to, told.repost_of)
        ),
        'repost_of', told.repost_of, 'text', told.text, 'state', told.state))
$$;

-- Make a post, or find the one that this key made before: then outcome is unchanged and post_id is
-- that of the first, or reused if the first request under this key was another one. Two calls at
-- once with one key wait for each other at the key's row.
CREATE FUNCTION create_post(
    new_id bigint, author bigint, body text, parent bigint, original bigint, images text[],
    new_state smallint, key text, hash bytea,
    OUT outcome text, OUT post_id bigint
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    named bigint;
    named_author bigint;
    made posts%ROWTYPE;
    hash_before bytea;
BEGIN
    INSERT INTO post_keys (author_id, idempotency_key, post_id, body_hash)
        VALUES (author, key, new_id, hash) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT post_keys.post_id, body_hash INTO create_post.post_id, hash_before
            FROM post_keys WHERE author_id = author AND idempotency_key = key;
        outcome := CASE WHEN hash_before = hash THEN 'unchanged' ELSE 'reused' END;
        RETURN;
    END IF;
    FOREACH named IN ARRAY ARRAY[parent, original] LOOP
        IF named IS NOT NULL AND outcome IS NULL THEN
            SELECT author_id INTO named_author FROM posts WHERE posts.post_id = named
                AND (state = 1 OR state = 2 AND author_id = author);
            IF NOT FOUND THEN
                outcome := 'unknown';
            ELSIF is_blocked(author, named_author) THEN
                outcome := 'blocked';
            ELSIF is_hidden(author, named_author, 2::smallint) THEN
                outcome := 'unknown';
            END IF;
        END IF;
    END LOOP;
    IF outcome IS NULL THEN
        PERFORM FROM user_counts WHERE user_id = author;
        IF NOT FOUND THEN
            outcome := 'unknown';
        END IF;
    END IF;
    IF outcome IS NOT NULL THEN
        -- The key must stay free for the corrected request.
        DELETE FROM post_keys WHERE author_id = author AND idempotency_key = key;
        RETURN;
    END IF;
    INSERT INTO posts (post_id, author_id, text, reply_to, repost_of, media, state)
        VALUES (new_id, author, body, parent, original, images, new_state)
        RETURNING * INTO made;
    IF new_state = 1 THEN
        PERFORM count_post(made, 1);
    END IF;
    PERFORM tell_of_post('post.created', made);
    outcome := 'done';
    create_post.post_id := new_id;
END
$$;

-- Only the author deletes; what is deleted stays so, whatever comes later.
CREATE FUNCTION delete_post(author bigint, deleted bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    found_post posts%ROWTYPE;
BEGIN
    SELECT * INTO found_post FROM posts WHERE post_id = deleted FOR UPDATE;
    IF NOT FOUND OR found_post.author_id <> author THEN
        RETURN 'unknown';
    END IF;
    IF found_post.state = 3 THEN
        RETURN 'unchanged';
    END IF;
    UPDATE posts SET state = 3 WHERE post_id = deleted;
    IF found_post.state = 1 THEN
        PERFORM count_post(found_post, -1);
    END IF;
    PERFORM tell('post.deleted',
        json_build_object('post_id', deleted, 'author_id', found_post.author_id));
    RETURN 'done';
END
$$;

-- A post that waited is shown to others from now on (1), or taken away (3).
CREATE FUNCTION review_post(reviewed bigint, new_state smallint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    found_post posts%ROWTYPE;
BEGIN
    UPDATE posts SET state = new_state WHERE post_id = reviewed AND state = 2
        RETURNING * INTO found_post;
    IF NOT FOUND THEN
        RETURN 'unchanged';
    END IF;
    IF new_state = 1 THEN
        PERFORM count_post(found_post, 1);
    END IF;
    PERFORM tell_of_post('post.reviewed', found_post);
    RETURN 'done';
END
$$;
