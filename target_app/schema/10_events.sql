-- What has to be told to others, and what was told to people.
--
-- The files of this folder are run in the order of their names into an empty database.
-- Each write is one function call: one statement is one transaction and one round trip, so that a
-- slow edge costs a write its latency once, and no lock is held while the client is waited for.

-- Events that must reach the stream, written in the transaction of what they tell.
-- payload: a JSON object as text. Kinds and payloads:
--   post.created     post_id, author_id, reply_to, parent_author_id, repost_of, text, state
--   post.deleted     post_id, author_id
--   post.reviewed    post_id, author_id, state
--   follow.added, follow.removed, follow.requested, block.added, block.removed, mute.added,
--   mute.removed     from, to, and for follows app (1 photos, 2 threads)
--   like.added, like.removed      from, to, author_id, app
--   account.joined, account.changed, account.deleted      user_id, app, handle, old_handle, version
CREATE TABLE outbox (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    payload text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz
);
CREATE INDEX outbox_unsent ON outbox (event_id) WHERE sent_at IS NULL;

CREATE FUNCTION tell(event_kind text, event_payload json) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO outbox (kind, payload) VALUES (event_kind, event_payload::text)
$$;

-- What a user is told of others' doings; one row for one event, however often it is delivered.
-- kind: follow, like, reply, repost, mention.
CREATE TABLE notifications (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL,
    event_id bigint NOT NULL,
    kind text NOT NULL,
    actor_id bigint NOT NULL,
    post_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    pushed_at timestamptz,
    UNIQUE (event_id, user_id)
);
CREATE INDEX notifications_unpushed ON notifications (notification_id) WHERE pushed_at IS NULL;
CREATE INDEX notifications_of_user ON notifications (user_id, notification_id DESC);

-- Tell a user once of an event, unless they block or mute the actor, or are blocked, or are the
-- actor. True if there is a new notification.
CREATE FUNCTION notify_user(
    told bigint, of_event bigint, told_kind text, actor bigint, about bigint
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notifications (user_id, event_id, kind, actor_id, post_id)
        SELECT told, of_event, told_kind, actor, about
        WHERE told <> actor AND NOT EXISTS (
            SELECT FROM assocs WHERE kind IN (3, 4, 7) AND from_id = told AND to_id = actor
        )
        ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;
