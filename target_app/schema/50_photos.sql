-- The photos app: its photos are objects, listed by association.

-- Make a photo, or find the one that this key made before (see create_post).
CREATE FUNCTION create_photo(
    new_id bigint, author bigint, photo text, key text, hash bytea,
    OUT outcome text, OUT photo_id bigint
)
LANGUAGE plpgsql AS $$
DECLARE
    hash_before bytea;
BEGIN
    PERFORM FROM accounts WHERE user_id = author AND deleted_at IS NULL;
    IF NOT FOUND THEN
        outcome := 'unknown';
        RETURN;
    END IF;
    INSERT INTO post_keys (author_id, idempotency_key, post_id, body_hash)
        VALUES (author, 'photo ' || key, new_id, hash) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT post_id, body_hash INTO photo_id, hash_before
            FROM post_keys WHERE author_id = author AND idempotency_key = 'photo ' || key;
        outcome := CASE WHEN hash_before = hash THEN 'unchanged' ELSE 'reused' END;
        RETURN;
    END IF;
    INSERT INTO objects (object_id, type, data) VALUES (new_id, 'photo', photo);
    PERFORM tie(15::smallint, author, new_id);
    outcome := 'done';
    photo_id := new_id;
END
$$;

CREATE FUNCTION like_photo(liker bigint, liked bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    author bigint;
BEGIN
    SELECT to_id INTO author FROM assocs WHERE kind = 16 AND from_id = liked;
    IF NOT FOUND OR is_hidden(liker, author, 1::smallint) THEN
        RETURN 'unknown';
    END IF;
    IF NOT tie(13::smallint, liker, liked) THEN
        RETURN 'unchanged';
    END IF;
    PERFORM tell('like.added',
        json_build_object('from', liker, 'to', liked, 'author_id', author, 'app', 1));
    RETURN 'done';
END
$$;
