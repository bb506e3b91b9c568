"""What holds for every request: limits, knobs and flags by hand, and copies that leave no trace."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration

Until = Callable[..., float]


def test_a_body_that_is_too_long_is_refused_and_nothing_is_written(app: Any) -> None:
    user = app.newcomer()
    answer = user.send("x" * 100_000)
    assert (answer.status, answer.body["error"]) == (413, "too_large")
    assert user.get(f"/v1/users/{user.handle}").body["posts"] == 0


def test_knobs_are_turned_by_hand_and_never_from_outside(app: Any) -> None:
    user = app.newcomer()
    assert app.call("PUT", "/admin/knobs", {"level": 4}).status == 404
    try:
        turned = app.inside("gateway", "/admin/knobs", method="PUT", body={"level": 4})
        assert turned.status == 200
        assert "posting" in turned.body["off"]
        refused = user.send("not now")
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        # Blocks stay, whatever is given up.
        assert user.put("/v1/users/1/block").status == 404
        assert user.get("/v1/me").status == 200
        assert app.metric("gateway", "app_knob_level") == 4
    finally:
        app.inside("gateway", "/admin/knobs", method="PUT", body={"level": None})
    assert user.send("again").status == 201
    bad = app.inside("gateway", "/admin/knobs", method="PUT", body={"level": 9})
    assert (bad.status, bad.body["detail"]) == (400, "level is 9 (accepted: 0 to 4)")


def test_a_flag_is_switched_by_hand_and_shown_on_the_metrics_page(app: Any) -> None:
    switch = {"graphql.enabled": False}
    assert app.inside("gateway", "/admin/flags", method="PUT", body=switch).status == 200
    shown = 'app_flag_info{flag="graphql.enabled",service="gateway",variant="false"}'
    assert app.metric("gateway", shown) == 1
    back = {"graphql.enabled": None}
    assert app.inside("gateway", "/admin/flags", method="PUT", body=back).status == 200
    unknown = app.inside("gateway", "/admin/flags", method="PUT", body={"defect.retry_storm": True})
    assert (unknown.status, "APP_ALLOW_DEFECTS" in unknown.body["detail"]) == (400, True)


def test_copies_of_requests_are_answered_and_leave_no_trace(app: Any, until: Until) -> None:
    said = app.call("GET", "/.well-known/shadow-target?nonce=17")
    assert said.body == {"nonce": 17, "writes": "none", "service": "threads"}
    author, fan = app.newcomer(), app.newcomer()
    post_id = author.post("the original")
    delivered = app.inside("side", "/push/ledger").body

    def shadow(method: str, path: str, body: object = None) -> Any:
        headers = {"X-Shadow": "1", "Idempotency-Key": uuid.uuid4().hex}
        return app.call(method, path, body, token=fan.token, headers=headers)

    tag = f"shadow{uuid.uuid4().hex[:8]}"
    for _ in range(3):
        assert shadow("POST", "/v1/posts", {"text": f"a copy #{tag}"}).status == 201
        assert shadow("POST", f"/v1/posts/{post_id}/like").status < 300
        assert shadow("PUT", f"/v1/users/{author.user_id}/follow").status == 200
        assert shadow("GET", "/v1/feed/home").status == 200
    # Long enough for an original to be everywhere: one is sent after the copies.
    fan.follow(author)
    until(lambda: fan.get(f"/v1/users/{author.handle}").body["followers"] == 1)
    until(lambda: [n["kind"] for n in author.get("/v1/notifications").body["notifications"]])
    kinds = [each["kind"] for each in author.get("/v1/notifications").body["notifications"]]
    assert kinds == ["follow"]
    assert fan.get(f"/v1/posts/{post_id}").body["post"]["likes"] == 0
    assert fan.get(f"/v1/users/{fan.handle}").body["posts"] == 0
    tags = {each["tag"] for each in fan.get("/v1/trending").body["tags"]}
    assert tag not in tags
    until(lambda: app.inside("side", "/push/ledger").body["delivered"] > delivered["delivered"])
    pushed = app.inside("side", "/push/ledger").body["delivered"] - delivered["delivered"]
    assert pushed == 1
