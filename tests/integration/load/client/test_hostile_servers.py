"""Bad servers, all at once: each has its error kind, and none stops the run or the others.

About 12 seconds, most of it two generators' starts and the silent servers' limits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest

from surgeproof.model.plan import Timeouts

if TYPE_CHECKING:
    from surgeproof.model.samples import Labels
    from tests.integration.load.client.conftest import StartServer
    from tests.integration.load.conftest import StartRun

pytestmark = pytest.mark.integration

# What a request to each path comes to; "" is fine.
KINDS = {
    "/healthy": "",
    "/reset-at-once": "reset",
    "/reset-in-body": "reset",
    "/closed-at-once": "closed",
    "/closed-in-head": "closed",
    "/length-too-long": "closed",
    "/length-too-short": "",
    "/length-negative": "protocol",
    "/length-twice": "protocol",
    "/chunk-garbage": "protocol",
    "/no-http": "protocol",
    "/endless-headers": "protocol",
    "/endless-header": "protocol",
    "/endless-interim": "protocol",
    "/endless-trailers": "protocol",
    "/gigabyte": "too_large",
    "/gigabyte-chunked": "too_large",
    "/silent": "timeout",
    "/holds-back": "timeout",
    "/no-utf8": "",
    "/switches": "protocol",
    "/gzip": "",
    "/gzip-cut-off": "protocol",
    "/gzip-bomb": "too_large",
    # These are followed, as their journeys ask.
    "/see-other": "",
    "/loop": "redirects",
    "/ping": "redirects",
    "/elsewhere": "redirect_refused",
}
FOLLOWED = {"/see-other", "/loop", "/ping", "/elsewhere"}
RATE = 60
# Every path twice, with a healthy one between.
DURATION_S = 4 * len(KINDS) / RATE

SCENARIO = """
from itertools import cycle

from surgeproof.load import OpenLoopUser, journey

TURNS = cycle(%r)
PATIENCE_S = {"/silent": 1.0, "/holds-back": 1.0}


class Someone(OpenLoopUser):
    @journey("GET any")
    async def visit(self):
        path = next(TURNS)
        await self.client.get(
            path,
            name="GET " + path,
            timeout_s=PATIENCE_S.get(path, 10.0),
            follow_redirects=path in %r,
        )
"""

DECLARED = """
from surgeproof.load import OpenLoopUser, request


class Someone(OpenLoopUser):
"""


def words(labels: Labels) -> list[str]:
    return [labels.words[code] for code in labels.codes]


def test_bad_answers_of_every_kind_in_one_run_stop_neither_it_nor_the_healthy(
    start_server: StartServer, start_run: StartRun
) -> None:
    server = start_server()
    turns = tuple(turn for path in KINDS for turn in ("/healthy", path))
    run = start_run(
        f"http://127.0.0.1:{server.port}",
        rate=RATE,
        duration_s=DURATION_S,
        names={"GET any": 1.0},
        scenario=SCENARIO % (turns, FOLLOWED),
    )
    run.begin()
    assert run.wait() == 0, run.output()
    assert "Traceback" not in run.output()
    samples = run.samples
    assert len(set(samples.session.tolist())) + len(run.drops) == 4 * len(KINDS)
    # An arrival's last sample says what came of it; those before are redirects that went well.
    last: dict[int, tuple[str, str]] = {}
    rows = zip(
        samples.session.tolist(), words(samples.name), words(samples.error_kind), strict=True
    )
    for session, name, kind in rows:
        path = name.removeprefix("GET ").removesuffix(" (redirected)")
        last[session] = (path, max(kind, last.get(session, ("", ""))[1]))
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path, kind in last.values():
        found[path][kind] += 1
    assert {path: sorted(kinds) for path, kinds in found.items()} == {
        path: [kind] for path, kind in KINDS.items()
    }
    hops = Counter(words(samples.name))
    assert hops["GET /loop (redirected)"] == 10 * hops["GET /loop"]
    assert hops["GET /see-other (redirected)"] == hops["GET /see-other"]
    assert hops["GET /elsewhere (redirected)"] == 0


def test_declared_requests_meet_bad_answers_as_journeys_do(
    start_server: StartServer, start_run: StartRun
) -> None:
    server = start_server()
    paths = [path for path in KINDS if path not in FOLLOWED]
    lines = [f'    r{place} = request("GET", {path!r})\n' for place, path in enumerate(paths)]
    run = start_run(
        f"http://127.0.0.1:{server.port}",
        rate=RATE,
        duration_s=3,
        names={f"GET {path}": 1.0 for path in paths},
        scenario=DECLARED + "".join(lines),
        timeouts=Timeouts(connect_s=3, read_s=3, total_s=3),
    )
    run.begin()
    assert run.wait() == 0, run.output()
    samples = run.samples
    assert len(samples) + len(run.drops) == RATE * 3
    found = set(zip(words(samples.name), words(samples.error_kind), strict=True))
    # The seed draws the paths, so one may be left out, but none may end in another way.
    assert found <= {(f"GET {path}", KINDS[path]) for path in paths}
    assert {kind for _, kind in found} == {KINDS[path] for path in paths}
