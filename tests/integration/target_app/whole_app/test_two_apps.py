"""One identity, two apps: every row of the contract between them, and what it rests on."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.integration

HERE = Path(__file__)
CONTRACT = HERE.parents[4] / "target_app" / "contracts" / "identity.yaml"
FIELDS = {each["name"]: each for each in yaml.safe_load(CONTRACT.read_text())["fields"]}
PREFIX = {"threads": "/v1", "photos": "/p"}
FLAGS_READ_WITHIN_S = 1.5
IMAGE = "ab" * 32


class Flags:
    """The flag file of the running stack."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = (HERE.parents[4] / "target_app" / "flags.json").read_text()
        self.reset()

    def reset(self) -> None:
        self.path.write_text(self._text)

    def choose(self, flag: str, variant: str) -> None:
        document = json.loads(self._text)
        document["flags"][flag]["defaultVariant"] = variant
        self.path.write_text(json.dumps(document))
        time.sleep(FLAGS_READ_WITHIN_S)


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> Flags:
    return Flags(tmp_path_factory.mktemp("flags") / "flags.json")


@pytest.fixture(scope="module")
def app(
    start_app: Callable[[dict[str, str]], AbstractContextManager[Any]], flags: Flags
) -> Iterator[Any]:
    with start_app({"APP_FLAGS": str(flags.path)}) as whole:
        yield whole


@dataclass(frozen=True)
class Member:
    """Somebody who is in both apps."""

    user: Any

    def ask(self, in_app: str, method: str, path: str, body: object = None, **more: str) -> Any:
        headers = {"Idempotency-Key": uuid.uuid4().hex, **more}
        path = PREFIX[in_app] + path
        return self.user.app.call(method, path, body, token=self.user.token, headers=headers)

    @property
    def id(self) -> int:
        return int(self.user.user_id)

    @property
    def handle(self) -> str:
        return str(self.user.handle)

    def account(self) -> dict[str, Any]:
        body: dict[str, Any] = self.ask("photos", "GET", "/me").body
        return body

    def change(self, in_app: str, **fields: object) -> Any:
        version = str(self.account()["version"])
        return self.ask(in_app, "PATCH", "/me", fields, If_Match=version)

    def set(self, in_app: str, word: str, other: Member, *, on: bool = True) -> None:
        method = "PUT" if on else "DELETE"
        answer = self.ask(in_app, method, f"/users/{other.id}/{word}")
        assert answer.status == 200, answer

    def share(self) -> dict[str, int]:
        photo = self.ask("photos", "POST", "/photos", {"image": IMAGE, "caption": "sea"})
        assert photo.status == 201, photo
        return {"threads": self.user.post("hello"), "photos": int(photo.body["photo"]["id"])}

    def sees(self, in_app: str, content: dict[str, int]) -> bool:
        path = {"threads": "/posts/", "photos": "/photos/"}[in_app]
        answer = self.ask(in_app, "GET", f"{path}{content[in_app]}")
        assert answer.status in (200, 404), answer
        return bool(answer.status == 200)

    def profile(self, in_app: str, handle: str) -> dict[str, Any] | None:
        answer = self.ask(in_app, "GET", f"/users/{handle}")
        assert answer.status in (200, 404), answer
        return answer.body if answer.status == 200 else None

    def is_fed(self, in_app: str, content: dict[str, int]) -> bool:
        path = {"threads": "/feed/home?mode=recency&limit=50", "photos": "/feed"}[in_app]
        answer = self.ask(in_app, "GET", path)
        assert answer.status == 200, answer
        return content[in_app] in [each["id"] for each in answer.body["items"]]


@dataclass(frozen=True)
class Scene:
    """A writer with a post and a photo, and a reader who follows the writer in both apps."""

    writer: Member
    reader: Member
    stranger: Member
    content: dict[str, int]
    own: dict[str, int]


@pytest.fixture
def scene(app: Any, flags: Flags, until: Callable[..., float]) -> Scene:
    flags.reset()
    writer, reader, stranger = (Member(app.newcomer()) for _ in range(3))
    for in_app in PREFIX:
        reader.set(in_app, "follow", writer)
    scene = Scene(writer, reader, stranger, writer.share(), reader.share())
    until(lambda: all(reader.is_fed(each, scene.content) for each in PREFIX))
    return scene


def rename(scene: Scene, in_app: str) -> None:
    assert scene.writer.change(in_app, handle=f"{scene.writer.handle}.x").status == 200


def renamed(scene: Scene, in_app: str) -> bool:
    found = scene.reader.profile(in_app, f"{scene.writer.handle}.x")
    lost = scene.reader.profile(in_app, scene.writer.handle)
    return lost is None and found is not None and found["user_id"] == scene.writer.id


def sets(**fields: object) -> Callable[[Scene, str], None]:
    def change(scene: Scene, in_app: str) -> None:
        assert scene.writer.change(in_app, **fields).status == 200

    return change


def shows(**fields: object) -> Callable[[Scene, str], bool]:
    def shown(scene: Scene, in_app: str) -> bool:
        found = scene.reader.profile(in_app, scene.writer.handle) or {}
        return fields.items() <= found.items()

    return shown


def hidden_from_strangers(scene: Scene, in_app: str) -> bool:
    assert scene.reader.sees(in_app, scene.content)
    assert scene.stranger.profile(in_app, scene.writer.handle) is not None
    return not scene.stranger.sees(in_app, scene.content)


def neither_sees_the_other(scene: Scene, in_app: str) -> bool:
    pairs = (
        (scene.reader, scene.writer, scene.content),
        (scene.writer, scene.reader, scene.own),
    )
    return not any(
        viewer.sees(in_app, content)
        or viewer.profile(in_app, other.handle)
        or viewer.is_fed(in_app, content)
        for viewer, other, content in pairs
    )


def quiet_in_feeds_only(scene: Scene, in_app: str) -> bool:
    assert scene.reader.sees(in_app, scene.content)
    return not scene.reader.is_fed(in_app, scene.content)


def gone(scene: Scene, in_app: str) -> bool:
    profile = scene.reader.profile(in_app, scene.writer.handle)
    refused = scene.writer.ask(in_app, "GET", "/me").status == 401
    is_seen = scene.reader.sees(in_app, scene.content)
    return refused and profile is None and not is_seen


def delete(scene: Scene, in_app: str) -> None:
    assert scene.writer.ask(in_app, "DELETE", "/me").status == 200


PROBES: dict[str, tuple[Callable[[Scene, str], None], Callable[[Scene, str], bool]]] = {
    "handle": (rename, renamed),
    "display_name": (sets(display_name="Renamed"), shows(display_name="Renamed")),
    "bio": (sets(bio="by the sea"), shows(bio="by the sea")),
    "avatar": (sets(avatar=IMAGE), shows(avatar=IMAGE)),
    "privacy": (sets(is_private=True), hidden_from_strangers),
    "block": (
        lambda scene, in_app: scene.writer.set(in_app, "block", scene.reader),
        neither_sees_the_other,
    ),
    "mute": (
        lambda scene, in_app: scene.reader.set(in_app, "mute", scene.writer),
        quiet_in_feeds_only,
    ),
    "follow": (
        lambda scene, in_app: scene.reader.set(in_app, "follow", scene.writer, on=False),
        quiet_in_feeds_only,
    ),
    "deletion": (delete, gone),
}


def check(scene: Scene, name: str, changed_in: str, seen_in: tuple[str, ...]) -> None:
    """Change a field in one app and look at the others until the bound of each has passed."""
    change, is_shown = PROBES[name]
    # Whoever looks has looked before: what caches hold is what was.
    assert not any(is_shown(scene, in_app) for in_app in seen_in)
    change(scene, changed_in)
    changed_s = time.monotonic()
    bounds_s = FIELDS[name]["bound"]
    # What must be there at once is looked at first.
    for in_app in sorted(seen_in, key=bounds_s.__getitem__):
        late_s = time.monotonic() - changed_s
        while not is_shown(scene, in_app):
            assert late_s < bounds_s[in_app], f"{name} in {in_app}: not shown after {late_s:.1f} s"
            time.sleep(0.1)
            late_s = time.monotonic() - changed_s


def test_every_field_of_the_contract_has_a_probe() -> None:
    assert set(FIELDS) == set(PROBES)


@pytest.mark.parametrize("changed_in", list(PREFIX))
@pytest.mark.parametrize("name", list(FIELDS))
def test_a_change_in_one_app_shows_in_both_within_its_bound(
    scene: Scene, name: str, changed_in: str
) -> None:
    assert changed_in in FIELDS[name]["change_in"]
    seen_in = (changed_in,) if name == "follow" else tuple(PREFIX)
    check(scene, name, changed_in, seen_in)


@pytest.mark.parametrize("name", [name for name, each in FIELDS.items() if each["without"]])
def test_the_bound_holds_while_the_edges_that_it_does_not_need_are_lost(
    app: Any, scene: Scene, name: str
) -> None:
    with ExitStack() as losses:
        losses.enter_context(app.lost(*FIELDS[name]["without"]))
        check(scene, name, "photos", ("photos",) if name == "follow" else tuple(PREFIX))


def test_a_follow_that_ends_in_one_app_goes_on_in_the_other(scene: Scene) -> None:
    check(scene, "follow", "photos", ("photos",))
    assert scene.reader.is_fed("threads", scene.content)


@pytest.mark.parametrize("changed_in", list(PREFIX))
def test_with_shared_follows_one_that_ends_in_one_app_ends_in_both(
    scene: Scene, flags: Flags, changed_in: str
) -> None:
    flags.choose("follow_scope", "shared")
    check(scene, "follow", changed_in, tuple(PREFIX))


def test_of_two_renames_at_once_in_both_apps_exactly_one_wins(scene: Scene) -> None:
    writer = scene.writer
    version = str(writer.account()["version"])

    def rename_in(in_app: str) -> Any:
        wanted = {"handle": f"{writer.handle}.{in_app[0]}"}
        return writer.ask(in_app, "PATCH", "/me", wanted, If_Match=version)

    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(rename_in, PREFIX))
        assert sorted(answer.status for answer in answers) == [200, 409]
        won, lost = sorted(answers, key=lambda answer: answer.status)
        assert lost.body["current"]["handle"] == won.body["handle"]
        assert lost.body["error"] == "stale"
        version = str(won.body["version"])


def test_a_handle_that_was_given_up_is_free_and_its_old_token_speaks_for_the_same_person(
    app: Any, scene: Scene, until: Callable[..., float]
) -> None:
    old = scene.writer.handle
    rename(scene, "threads")
    body = {"handle": old, "password": "launch-day", "display_name": "Another"}
    taken = app.call("POST", "/v1/accounts", body)
    assert taken.status == 201
    assert taken.body["user_id"] != scene.writer.id
    assert scene.writer.ask("threads", "GET", "/me/account").body["user_id"] == scene.writer.id
    for in_app in PREFIX:
        profile = Member(app.log_in(old)).profile
        until(lambda see=profile, app_=in_app: (see(app_, old) or {}).get("user_id"), limit_s=6)
        found = scene.reader.profile(in_app, old)
        assert found is None or found["user_id"] in (taken.body["user_id"], scene.writer.id)
    assert scene.writer.change("photos", handle=old).status == 409


def test_somebody_of_photos_joins_threads_with_the_same_password(app: Any) -> None:
    credentials = {"handle": "p00007", "password": "launch-day"}
    token = app.call("POST", "/v1/sessions", credentials).body["token"]
    assert app.call("GET", "/p/me", token=token).body["apps"] == 1
    assert app.call("GET", "/v1/me", token=token).status == 403
    body = {**credentials, "display_name": "Photographer 7", "import_follows": True}
    assert app.call("POST", "/v1/accounts", {**body, "password": "not this one"}).status == 409
    joined = app.call("POST", "/v1/accounts", body)
    assert joined.status == 201
    again = app.call("POST", "/v1/accounts", body)
    assert (again.status, again.body["user_id"]) == (200, joined.body["user_id"])
    assert app.call("GET", "/v1/me", token=app.log_in("p00007").token).status == 200


def test_a_new_key_signs_soon_and_the_tokens_of_the_old_one_stay_good(
    app: Any, until: Callable[..., float]
) -> None:
    before = app.newcomer()
    assert before.token.split(".")[1] == "k1"
    answer = app.inside("identity", "/admin/keys/rotate", method="POST")
    assert answer.body["key"] == "k2"

    def is_signed_by_it() -> bool:
        after = app.log_in(before.handle)
        # Whoever is given a token is let in with it at once, in both apps.
        assert after.get("/v1/me").status == after.get("/p/me").status == 200
        return bool(after.token.split(".")[1] == "k2")

    until(is_signed_by_it, limit_s=answer.body["signs_in_s"] + 4)
    assert before.get("/v1/me").status == before.get("/p/me").status == 200


def test_photos_without_identity_shows_what_it_remembers_and_changes_nothing(
    app: Any, scene: Scene, until: Callable[..., float]
) -> None:
    for edge in ("photos-identity", "identity-pg"):
        scene.reader.profile("photos", scene.writer.handle)
        with app.lost(edge):
            answer = scene.reader.ask("photos", "GET", f"/users/{scene.writer.handle}")
            assert (answer.status, answer.degraded.partition(";")[0]) == (200, "names")
            wanted = {"bio": "not now"}
            refused = scene.writer.ask("photos", "PATCH", "/me", wanted, If_Match="1")
            assert (refused.status, "retry-after" in refused.headers) == (503, True)
        until(lambda: scene.writer.ask("photos", "GET", "/me").is_full)


def test_photos_without_the_graph_shows_nothing_of_others(
    app: Any, scene: Scene, until: Callable[..., float]
) -> None:
    with app.lost("photos-graph"):
        for path in (f"/photos/{scene.content['photos']}", "/feed"):
            answer = scene.reader.ask("photos", "GET", path)
            assert (answer.status, "retry-after" in answer.headers) == (503, True)
    until(lambda: scene.reader.ask("photos", "GET", "/feed").is_full)


def test_a_block_in_photos_drops_the_page_that_threads_keeps_for_the_loss_of_the_graph(
    app: Any, scene: Scene, until: Callable[..., float]
) -> None:
    assert scene.reader.is_fed("threads", scene.content)
    scene.writer.set("photos", "block", scene.reader)
    with app.lost("gw-graph", "feed-graph", "worker-graph", "photos-graph"):
        answer = scene.reader.user.feed()
        kept = answer.body["items"] if answer.status == 200 else []
        assert scene.content["threads"] not in [each["id"] for each in kept]
    until(lambda: scene.reader.user.feed().is_full)


def test_one_key_shares_one_photo_and_a_like_counts_once(scene: Scene) -> None:
    key = uuid.uuid4().hex
    body = {"image": IMAGE, "caption": "twice"}
    first, again = (
        scene.writer.ask("photos", "POST", "/photos", body, Idempotency_Key=key) for _ in range(2)
    )
    assert (first.status, again.status) == (201, 200)
    photo_id = first.body["photo"]["id"]
    assert again.body["photo"]["id"] == photo_id
    other = body | {"caption": "another"}
    reused = scene.writer.ask("photos", "POST", "/photos", other, Idempotency_Key=key)
    assert (reused.status, reused.body["error"]) == (422, "key_reused")
    for changed in (True, False):
        liked = scene.reader.ask("photos", "POST", f"/photos/{photo_id}/like")
        assert liked.body == {"changed": changed}
    assert scene.reader.ask("photos", "GET", f"/photos/{photo_id}").body["photo"]["likes"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        pytest.param("PATCH", "/me", {"bio": "x"}, {}, 428, id="no version"),
        pytest.param("PATCH", "/me", {"bio": "x"}, {"If_Match": "soon"}, 400, id="no number"),
        pytest.param("PATCH", "/me", {"bio": "x"}, {"If_Match": "99"}, 409, id="a wrong version"),
        pytest.param("PATCH", "/me", {"bio": 1}, {"If_Match": "1"}, 400, id="a wrong type"),
        pytest.param("PATCH", "/me", {"handle": "A b"}, {"If_Match": "1"}, 400, id="no handle"),
        pytest.param("PATCH", "/me", {"handle": "u00001"}, {"If_Match": "1"}, 409, id="taken"),
        pytest.param("PATCH", "/me", {"wings": 2}, {"If_Match": "1"}, 400, id="no such field"),
        pytest.param("PATCH", "/me", {"bio": "x" * 161}, {"If_Match": "1"}, 400, id="a long bio"),
        pytest.param("PATCH", "/me", {"bio": "\0"}, {"If_Match": "1"}, 400, id="a NUL"),
        pytest.param("PATCH", "/me", {"avatar": "../x"}, {"If_Match": "1"}, 400, id="no picture"),
        pytest.param("PATCH", "/me", [], {"If_Match": "1"}, 400, id="no object"),
    ],
)
@pytest.mark.parametrize("in_app", list(PREFIX))
def test_a_bad_change_is_a_problem_and_changes_nothing(
    member: Member,
    in_app: str,
    method: str,
    path: str,
    body: object,
    headers: dict[str, str],
    status: int,
) -> None:
    before = member.account()
    answer = member.ask(in_app, method, path, body, **headers)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert member.account() == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/photos", {"image": "x"}, 400, id="no picture"),
        pytest.param("POST", "/photos", {}, 400, id="nothing"),
        pytest.param("GET", "/photos/abc", None, 400, id="no number"),
        pytest.param("GET", "/photos/12", None, 404, id="no photo"),
        pytest.param("POST", "/photos/12/like", None, 404, id="a like of no photo"),
        pytest.param("GET", "/users/%00", None, 404, id="no handle"),
        pytest.param("PUT", "/users/12/follow", None, 404, id="nobody"),
        pytest.param("PUT", "/users/x/block", None, 400, id="no user id"),
    ],
)
def test_a_bad_request_to_photos_is_a_problem(
    member: Member, method: str, path: str, body: object, status: int
) -> None:
    answer = member.ask("photos", method, path, body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.fixture(scope="module")
def member(app: Any) -> Member:
    return Member(app.newcomer())
