"""Reading a stack file and its edges: everything that is wrong is said, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from surgeproof.errors import PlanError
from surgeproof.stack import read_definition, read_edges
from surgeproof.stack.specs import ServerSpec

GOOD = """\
name = "shop"
entry = "front"
edges = "edges.toml"

[seed]
command = ["{python}", "seed.py", "{seed}"]
digest = ["schema.sql"]

[servers.store]
kind = "postgres"
database = "shop"

[servers.proxies]
kind = "toxiproxy"
port = 8474

[processes.web]
command = ["{python}", "-m", "web", "--port", "{port}", "--peer", "{port:store}"]
ready = "/readyz"
ready_timeout = "5s"
metrics = "none"

[servers.front]
kind = "envoy"
config = "front.yaml"
clusters = { web = ["web"] }
"""

EDGES = """\
[[edge]]
name = "web-store"
dependency = "database"
from = "web"
to = "store"
upstream = "store"
timeout = "250ms"
max_in_flight = 64
retry = { max = 1, budget = "10%" }
fallback = "cached"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shop"
    made.mkdir()
    (made / "stack.toml").write_text(GOOD, encoding="utf-8")
    (made / "edges.toml").write_text(EDGES, encoding="utf-8")
    (made / "schema.sql").write_text("", encoding="utf-8")
    (made / "front.yaml").write_text("", encoding="utf-8")
    return made


def complaints(folder: Path, **files: str) -> list[str]:
    for stem, text in files.items():
        (folder / f"{stem}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        read_definition(folder / "stack.toml")
    return [str(mistake).removeprefix(f"{folder}/") for mistake in caught.value.mistakes]


def test_a_good_file_is_read_whole(folder: Path) -> None:
    definition = read_definition(folder / "stack.toml")
    assert definition.name == "shop"
    assert definition.root == folder.parent
    assert [server.name for server in definition.servers] == ["store", "proxies", "front"]
    assert definition.server_of_kind("toxiproxy") == ServerSpec("proxies", "toxiproxy", port=8474)
    (web,) = definition.processes
    assert (web.ready, web.metrics, web.ready_timeout_s) == ("/readyz", None, 5.0)
    assert definition.servers[2].clusters == {"web": ("web",)}
    assert definition.seed is not None
    assert definition.seed.digest == (folder / "schema.sql",)
    assert definition.seed.timeout_s == 60.0


def test_an_edge_keeps_what_the_harness_needs_of_it(folder: Path) -> None:
    (edge,) = read_edges(folder / "edges.toml")
    assert (edge.name, edge.dependency, edge.source, edge.destination) == (
        "web-store",
        "database",
        "web",
        "store",
    )
    assert (edge.upstream, edge.timeout_s, edge.fallback) == ("store", 0.25, "cached")


def test_an_edge_may_leave_out_what_follows_from_the_rest(folder: Path) -> None:
    (folder / "short.toml").write_text(
        '[[edge]]\nname = "a"\nfrom = "web"\nto = "store"\ntimeout = "1s"\n', encoding="utf-8"
    )
    (edge,) = read_edges(folder / "short.toml")
    assert (edge.dependency, edge.upstream, edge.fallback) == ("store", "store", "none")


def test_every_mistake_of_both_files_is_said_at_once(folder: Path) -> None:
    stack = GOOD.replace('ready = "/readyz"', 'raedy = "/readyz"').replace('"5s"', "5")
    found = complaints(
        folder,
        stack=stack.replace('kind = "postgres"', 'kind = "postgress"'),
        edges=EDGES.replace('timeout = "250ms"', 'timeout = "250"'),
    )
    assert [line.split(": ")[0] for line in found] == [
        "stack.toml:5:0",  # seed: no database to fill
        "stack.toml:10:0",
        "stack.toml:17:0",  # ready is missing: the table's line
        "stack.toml:19:0",
        "stack.toml:20:0",
        "edges.toml:7:0",
    ]
    text = "\n".join(found)
    assert "unknown kind 'postgress'" in text
    assert "unknown key, did you mean 'ready'" in text
    assert "5 is not accepted; accepted: a duration with its unit" in text
    assert "'250' is not accepted" in text


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        pytest.param('entry = "front"', 'entry = "back"', "'back' is not in the stack", id="entry"),
        pytest.param('["web"] }', '["wep"] }', "'wep' is no process", id="cluster member"),
        pytest.param("8474", "84740", "84740 is not accepted; accepted: a port", id="port range"),
        pytest.param("{port:store}", "{port:stor}", "{port:stor}", id="placeholder"),
        pytest.param("front.yaml", "gone.yaml", "there is no file", id="template"),
        pytest.param("schema.sql", "gone.sql", "there is no file", id="digest file"),
        pytest.param("servers.store]", "servers.Store]", "'Store' is no name", id="server name"),
        pytest.param('"toxiproxy"', '"redis"', "no kind 'toxiproxy'", id="proxies missing"),
        pytest.param(
            "[processes.web]", "[processes.store]", "name of a server too", id="same name"
        ),
        pytest.param('"/readyz"', '"readyz"', "'readyz' is no path", id="ready path"),
        pytest.param('kind = "postgres"', "", "servers.store.kind: is missing", id="kind missing"),
        pytest.param('database = "shop"', "config = 'x'", "unknown key", id="another kind's key"),
    ],
)
def test_a_mistake_in_the_stack_file_is_named(
    folder: Path, before: str, after: str, message: str
) -> None:
    assert before in GOOD
    assert message in "\n".join(complaints(folder, stack=GOOD.replace(before, after)))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        pytest.param('"web-store"', '"web/store"', "'web/store' is no name", id="slash in name"),
        pytest.param('upstream = "store"', 'upstream = "stor"', "'stor' is not in", id="upstream"),
        pytest.param('from = "web"', "", "from: is missing", id="from missing"),
        pytest.param("fallback", "fall_back", "did you mean 'fallback'", id="unknown key"),
        pytest.param("[[edge]]", "[edge]", "is no array of tables", id="one table"),
        pytest.param("[[edge]]", "[[edges]]", "did you mean 'edge'", id="wrong table"),
    ],
)
def test_a_mistake_in_the_edges_file_is_named(
    folder: Path, before: str, after: str, message: str
) -> None:
    assert before in EDGES
    assert message in "\n".join(complaints(folder, edges=EDGES.replace(before, after, 1)))


def test_an_edge_that_is_there_twice_is_named(folder: Path) -> None:
    (line,) = complaints(folder, edges=EDGES + "\n" + EDGES)
    assert "edge[1].name: 'web-store' is there twice" in line


def test_the_line_of_a_second_edge_is_its_own(folder: Path) -> None:
    second = EDGES.replace("web-store", "other").replace('"250ms"', '"soon"')
    found = complaints(folder, edges=EDGES + "\n" + second)
    assert found == [line for line in found if line.startswith("edges.toml:18:0: edge[1].timeout")]
    assert len(found) == 1


def test_a_file_that_is_no_toml_is_refused_with_its_place(folder: Path) -> None:
    (line,) = complaints(folder, stack='name = "shop"\nentry = \n')
    assert line.startswith("stack.toml:2:9: is no TOML: invalid value")


def test_a_missing_stack_file_is_a_mistake_of_the_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"gone\.toml: cannot be read: no such file"):
        read_definition(tmp_path / "gone.toml")


def test_a_missing_edges_file_is_named(folder: Path) -> None:
    (folder / "edges.toml").unlink()
    with pytest.raises(PlanError, match=r"edges\.toml: cannot be read"):
        read_definition(folder / "stack.toml")


def test_another_edges_file_may_take_the_place_of_the_named_one(folder: Path) -> None:
    other = folder / "fewer.toml"
    other.write_text(EDGES.replace("web-store", "only"), encoding="utf-8")
    definition = read_definition(folder / "stack.toml", other)
    assert [edge.name for edge in definition.edges] == ["only"]


def extension(folder: Path, text: str) -> Path:
    path = folder / "stack.more.toml"
    path.write_text('extends = "stack.toml"\n' + text, encoding="utf-8")
    return path


def test_a_stack_file_that_extends_another_says_only_what_is_new(folder: Path) -> None:
    more = """\
name = "shop-twice"
[processes.web-b]
command = ["{python}", "-m", "web", "{port:front-admin}"]
ready = "/readyz"
env = { APP_REGION = "b" }
[servers.front]
clusters = { web = ["web", "web-b"], spare = [] }
"""
    definition = read_definition(extension(folder, more))
    assert definition.name == "shop-twice"
    assert definition.entry == "front"
    assert {each.name: dict(each.env) for each in definition.processes} == {
        "web": {},
        "web-b": {"APP_REGION": "b"},
    }
    front = definition.server_of_kind("envoy")
    assert front is not None
    assert dict(front.clusters) == {"web": ("web", "web-b"), "spare": ()}
    assert front.config == folder / "front.yaml"


def test_a_missing_file_to_extend_is_told_by_its_path(folder: Path) -> None:
    path = folder / "stack.lost.toml"
    path.write_text('extends = "nowhere.toml"\n', encoding="utf-8")
    with pytest.raises(PlanError, match=r"nowhere\.toml"):
        read_definition(path)


def test_the_edges_of_several_files_are_taken_together(folder: Path) -> None:
    far = EDGES.replace("web-store", "web-far-store")
    distance = 'distance = { latency = "60ms", jitter = "10ms" }\n'
    (folder / "edges.far.toml").write_text(far + distance, encoding="utf-8")
    path = extension(folder, 'edges = ["edges.toml", "edges.far.toml"]\n')
    near, away = read_definition(path).edges
    assert (near.name, near.latency_s, near.jitter_s) == ("web-store", 0.0, 0.0)
    assert (away.name, away.latency_s, away.jitter_s) == ("web-far-store", 0.06, 0.01)


def test_an_edge_that_is_in_two_files_is_a_mistake(folder: Path) -> None:
    (folder / "edges.far.toml").write_text(EDGES, encoding="utf-8")
    path = extension(folder, 'edges = ["edges.toml", "edges.far.toml"]\n')
    with pytest.raises(PlanError, match="'web-store' is in another edges file too"):
        read_definition(path)
