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

-- One association with its inverse; true if it was not there before.
CREATE FUNCTION tie(tied smallint, one bigint, other bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO assocs (kind, from_id, to_id) VALUES (tied, one, other) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF tied <> 7 THEN
        INSERT INTO assocs (kind, from_id, to_id) VALUES (tied + 1, other, one)
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN true;
END
$$;

-- End one association and its inverse; true if it was there.
CREATE FUNCTION untie(tied smallint, one bigint, other bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM assocs WHERE kind = tied AND from_id = one AND to_id = other;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM assocs WHERE kind = tied + 1 AND from_id = other AND to_id = one AND tied <> 7;
    RETURN true;
END
$$;

-- Whether what an author made is visible to a viewer, or why not: a block either way, a deleted
-- account, or a private one that the viewer does not follow in that app (1 photos, 2 threads).
CREATE FUNCTION visibility(viewer bigint, author bigint, in_app smallint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN viewer = author THEN 'visible'
        WHEN is_blocked(viewer, author) THEN 'blocked'
        ELSE coalesce((
            SELECT CASE
                WHEN deleted_at IS NOT NULL THEN 'deleted'
                WHEN is_private AND NOT EXISTS (
                    SELECT FROM assocs WHERE kind = CASE in_app WHEN 1 THEN 11 ELSE 1 END
                        AND from_id = viewer AND to_id = author
                ) THEN 'private'
                ELSE 'visible'
            END FROM accounts WHERE user_id = author
        ), 'unknown')
    END
$$;

CREATE FUNCTION is_hidden(viewer bigint, author bigint, in_app smallint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT visibility(viewer, author, in_app) <> 'visible'
$$;

-- Make a follow in one app whatever the account's privacy; true if there was none. Counts are
-- those of threads.
CREATE FUNCTION make_follow(follower bigint, followed bigint, in_app smallint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT tie((CASE in_app WHEN 1 THEN 11 ELSE 1 END)::smallint, follower, followed) THEN
        RETURN false;
    END IF;
    IF in_app = 2 THEN
        UPDATE user_counts SET following = following + 1 WHERE user_id = follower;
        UPDATE user_counts SET followers = followers + 1 WHERE user_id = followed;
    END IF;
    PERFORM tell('follow.added',
        json_build_object('from', follower, 'to', followed, 'app', in_app));
    RETURN true;
END
$$;

CREATE FUNCTION drop_follow(follower bigint, followed bigint, in_app smallint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT untie((CASE in_app WHEN 1 THEN 11 ELSE 1 END)::smallint, follower, followed) THEN
        RETURN false;
    END IF;
    IF in_app = 2 THEN
        UPDATE user_counts SET following = following - 1 WHERE user_id = follower;
        UPDATE user_counts SET followers = followers - 1 WHERE user_id = followed;
    END IF;
    PERFORM tell('follow.removed',
        json_build_object('from', follower, 'to', followed, 'app', in_app));
    RETURN true;
END
$$;

-- The functions below answer with a word: done, unchanged, unknown (no such user or post), blocked,
-- requested (a private account has to agree), pending (the account has not joined threads yet).

-- With both_apps a follow in one app is one in the other too.
CREATE FUNCTION add_follow(
    follower bigint, followed bigint, in_app smallint, both_apps boolean
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    target accounts%ROWTYPE;
    is_new boolean;
BEGIN
    IF NOT lock_pair(follower, followed) THEN
        RETURN 'unknown';
    END IF;
    SELECT * INTO target FROM accounts WHERE user_id = followed;
    IF NOT FOUND OR target.deleted_at IS NOT NULL THEN
        RETURN 'unknown';
    END IF;
    IF is_blocked(follower, followed) THEN
        RETURN 'blocked';
    END IF;
    IF target.is_private AND is_hidden(follower, followed, in_app) THEN
        IF NOT tie(17::smallint, follower, followed) THEN
            RETURN 'unchanged';
        END IF;
        PERFORM tell('follow.requested',
            json_build_object('from', follower, 'to', followed, 'app', in_app));
        RETURN 'requested';
    END IF;
    IF in_app = 2 AND target.apps & 2 = 0 THEN
        RETURN CASE WHEN tie(9::smallint, follower, followed) THEN 'pending' ELSE 'unchanged' END;
    END IF;
    is_new := make_follow(follower, followed, in_app);
    IF both_apps AND target.apps & (3 - in_app) <> 0 THEN
        is_new := make_follow(follower, followed, (3 - in_app)::smallint) OR is_new;
    END IF;
    RETURN CASE WHEN is_new THEN 'done' ELSE 'unchanged' END;
END
$$;

CREATE FUNCTION remove_follow(
    follower bigint, followed bigint, in_app smallint, both_apps boolean
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    was_there boolean;
BEGIN
    IF NOT lock_pair(follower, followed) THEN
        RETURN 'unknown';
    END IF;
    was_there := drop_follow(follower, followed, in_app);
    was_there := untie(17::smallint, follower, followed) OR was_there;
    IF in_app = 2 THEN
        was_there := untie(9::smallint, follower, followed) OR was_there;
    END IF;
    IF both_apps THEN
        was_there := drop_follow(follower, followed, (3 - in_app)::smallint) OR was_there;
    END IF;
    RETURN CASE WHEN was_there THEN 'done' ELSE 'unchanged' END;
END
$$;

-- A private account agrees to be followed, or does not.
CREATE FUNCTION answer_request(
    asked bigint, follower bigint, agrees boolean, both_apps boolean
) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT lock_pair(follower, asked) OR NOT untie(17::smallint, follower, asked) THEN
        RETURN 'unknown';
    END IF;
    IF agrees THEN
        PERFORM make_follow(follower, asked, 2::smallint);
        IF both_apps THEN
            PERFORM make_follow(follower, asked, 1::smallint);
        END IF;
    END IF;
    RETURN 'done';
END
$$;

-- A block ends following both ways in both apps, in the same transaction.
CREATE FUNCTION add_block(blocker bigint, blocked bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    app smallint;
    tied smallint;
BEGIN
    IF NOT lock_pair(blocker, blocked) THEN
        RETURN 'unknown';
    END IF;
    FOREACH app IN ARRAY ARRAY[1, 2]::smallint[] LOOP
        PERFORM drop_follow(blocker, blocked, app), drop_follow(blocked, blocker, app);
    END LOOP;
    FOREACH tied IN ARRAY ARRAY[9, 17]::smallint[] LOOP
        PERFORM untie(tied, blocker, blocked), untie(tied, blocked, blocker);
    END LOOP;
    IF NOT tie(3::smallint, blocker, blocked) THEN
        RETURN 'unchanged';
    END IF;
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
    IF NOT untie(3::smallint, blocker, blocked) THEN
        RETURN 'unchanged';
    END IF;
    PERFORM tell('block.removed', json_build_object('from', blocker, 'to', blocked));
    RETURN 'done';
END
$$;

-- Mutes and likes of photos: one association, and an event if anybody has to know.
CREATE FUNCTION set_mute(muter bigint, muted bigint, is_on boolean) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT lock_pair(muter, muted) THEN
        RETURN 'unknown';
    END IF;
    IF is_on AND tie(7::smallint, muter, muted) THEN
        PERFORM tell('mute.added', json_build_object('from', muter, 'to', muted));
    ELSIF NOT is_on AND untie(7::smallint, muter, muted) THEN
        PERFORM tell('mute.removed', json_build_object('from', muter, 'to', muted));
    ELSE
        RETURN 'unchanged';
    END IF;
    RETURN 'done';
END
$$;

-- Somebody has joined threads: who waited for that follows them now, at most so many at a time.
-- Returns how many were worked off, so that a caller knows when it is done.
CREATE FUNCTION follow_those_who_joined(joined bigint, most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    follower bigint;
    done integer := 0;
BEGIN
    FOR follower IN
        SELECT to_id FROM assocs WHERE kind = 10 AND from_id = joined ORDER BY to_id LIMIT most
    LOOP
        done := done + 1;
        IF lock_pair(follower, joined) AND NOT is_blocked(follower, joined) THEN
            PERFORM make_follow(follower, joined, 2::smallint);
        END IF;
        PERFORM untie(9::smallint, follower, joined);
    END LOOP;
    RETURN done;
END
$$;

-- Copy follows of photos to threads, those above after_id, at most so many at a time; those who have
-- not joined are followed when they do. Returns the last one copied, null when there are no more.
CREATE FUNCTION import_follows(follower bigint, after_id bigint, most integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    followed bigint;
    last_one bigint;
BEGIN
    FOR followed IN
        SELECT to_id FROM assocs
        WHERE kind = 11 AND from_id = follower AND to_id > after_id ORDER BY to_id LIMIT most
    LOOP
        last_one := followed;
        PERFORM add_follow(follower, followed, 2::smallint, false);
    END LOOP;
    RETURN last_one;
END
$$;

-- End everything that ties a deleted account to others, and hide what it wrote.
CREATE FUNCTION forget_user(gone bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    other bigint;
BEGIN
    FOR other IN
        SELECT DISTINCT to_id FROM assocs
        WHERE from_id = gone AND kind IN (1, 2, 11, 12) ORDER BY to_id
    LOOP
        PERFORM lock_pair(gone, other);
        PERFORM drop_follow(gone, other, 1::smallint), drop_follow(other, gone, 1::smallint);
        PERFORM drop_follow(gone, other, 2::smallint), drop_follow(other, gone, 2::smallint);
    END LOOP;
    -- Blocks stay: who was blocked stays so, should the account come back.
    DELETE FROM assocs WHERE to_id = gone AND kind IN (7, 9, 10, 17, 18);
    DELETE FROM assocs WHERE from_id = gone AND kind IN (7, 9, 10, 17, 18);
    UPDATE posts SET state = 3 WHERE author_id = gone AND state <> 3;
    UPDATE user_counts SET posts = 0 WHERE user_id = gone;
END
$$;

-- Few accounts are private, and each viewer's ties ask which.
CREATE INDEX accounts_private ON accounts (user_id) WHERE is_private;
