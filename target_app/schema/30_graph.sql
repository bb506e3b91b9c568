-- Who follows, blocks and mutes whom, and objects.

-- One row per account. It is also the lock that orders follows and blocks of the same people.
CREATE TABLE user_counts (
    user_id bigint PRIMARY KEY,
    followers integer NOT NULL DEFAULT 0,
    following integer NOT NULL DEFAULT 0,
    posts integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- Directed associations, each with its inverse (even numbers) unless noted:
--  1 follows, 2 followed_by               in threads
--  3 blocks, 4 blocked_by                 in both apps
--  5 likes, 6 liked_by                    of threads posts
--  7 mutes                                one-way and silent: no inverse
--  9 pending_follow, 10 pending_follow_of fires when the followed account joins threads
-- 11 photo_follows, 12 photo_followed_by  in photos
-- 13 photo_likes, 14 photo_liked_by       of photos
-- 15 authored, 16 authored_by             of objects (photos)
-- 17 follow_request, 18 follow_request_of of a private account, until it answers
CREATE TABLE assocs (
    kind smallint NOT NULL,
    from_id bigint NOT NULL,
    to_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, from_id, to_id)
);

-- Objects that have no table of their own; data is a JSON object as text.
CREATE TABLE objects (
    object_id bigint PRIMARY KEY,
    type text NOT NULL,
    data text NOT NULL,
    version integer NOT NULL DEFAULT 1
);

CREATE FUNCTION is_blocked(one bigint, other bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM assocs WHERE kind IN (3, 4) AND from_id = one AND to_id = other
    )
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
