"""Every exit code of docs/verdict.md, each the end of a real run against a stranger's service.

The runs of one table go four at a time, for most of a run is waiting. Each is checked whole:
result and report, reasons, the stranger's Toxiproxy, the secret, and what was left behind.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from surgeproof.model.words import ExitCode, Reason
from surgeproof.slo.verdict import PRECEDENCE, exit_code_of

if TYPE_CHECKING:
    from tests.e2e.stranger.conftest import Ended, Running, Stranger, Workshop

pytestmark = [pytest.mark.e2e, pytest.mark.full]

REPOSITORY = Path(__file__).parents[3]
AT_ONCE = 4
CLEAN: Mapping[str, list[str]] = {"shop-store": [], "shop-mail": []}
# Where nothing listens: the discard port, which no machine of today serves.
NOWHERE = "http://127.0.0.1:9"
# Longer than the 50 ms at p99 that a generator may be late, by far.
STOPPED_S = 1.0


def _nothing(stranger: Stranger, running: Running) -> None:
    del stranger, running


@dataclass(frozen=True)
class Case:
    """One run: how the stranger's things are before it, what happens in it, how it must end."""

    code: int
    reasons: tuple[str, ...]
    prepare: Callable[[Stranger], None]
    act: Callable[[Stranger, Running], None] = _nothing
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    is_tls: bool = False
    # What the Toxiproxy must show afterwards; None: it is gone itself.
    toxics: Mapping[str, list[str]] | None = field(default_factory=lambda: CLEAN)


# -- gates that fail: 3 -----------------------------------------------------------------------


def _slow(stranger: Stranger) -> None:
    stranger.shorten()
    stranger.shop.change(delay_s=0.9)
    stranger.plan["gates"] = ['http.response_time{name="GET /items/{id}"}: p50 < 600ms']


def _failing(stranger: Stranger) -> None:
    stranger.shorten()
    stranger.shop.change(fail_every=3)


def _losing(stranger: Stranger) -> None:
    stranger.shorten()
    stranger.shop.change(orders="lose")


def _doubling(stranger: Stranger) -> None:
    stranger.shorten()
    stranger.shop.change(orders="double")


# -- no data, or not enough: 4 ----------------------------------------------------------------


def _without_mix(stranger: Stranger) -> None:
    """Leave it to the scenario file what is sent, so that the plan cannot count beforehand."""
    stranger.shorten(sale="2s")
    load = stranger.plan["load"]
    del load["mix"]
    for phase in load["phases"]:
        del phase["mix"]


def _asks_about_nothing(stranger: Stranger) -> None:
    _without_mix(stranger)
    never = {"name": "GET /never", "tier": "T3", "deadline": "1s"}
    stranger.plan["endpoints"].append(never)
    stranger.plan["gates"] = ['http.response_time{name="GET /never"}: p50 < 1s']


def _asks_too_much(stranger: Stranger) -> None:
    _without_mix(stranger)
    stranger.plan["gates"] = ['http.response_time{name="POST /orders"}: p99 < 2s']


def _fault_beside_the_point(stranger: Stranger) -> None:
    stranger.plan["faults"][0]["edge"] = "shop-mail"


def _refusing(stranger: Stranger) -> None:
    stranger.shorten(sale="2s")
    stranger.shop.change(orders="refuse")


def _unreadable(stranger: Stranger) -> None:
    stranger.shorten(sale="2s")
    stranger.shop.change(is_readable=False)


def _without_gates(stranger: Stranger) -> None:
    stranger.shorten(sale="2s")
    stranger.plan["gates"] = stranger.plan["ledger"] = []


def _sick_from_the_start(stranger: Stranger) -> None:
    stranger.plan["guards"] = []
    stranger.plan["gates"] = ["http.wrong: count == 0"]
    stranger.shop.change(fail_every=2)


def _endless(stranger: Stranger) -> None:
    stranger.shorten(sale="2s")
    stranger.plan["gates"] = ["http.wrong: count == 0"]
    stranger.plan["timeout"] = "9s"


def _stand_still(stranger: Stranger, running: Running) -> None:
    running.wait_for("phase.ended")
    # Longer than the generator waits for a single answer.
    stranger.shop.change(stall_s=60.0)


# -- what is not there: 6 ---------------------------------------------------------------------


def _nobody_home(stranger: Stranger) -> None:
    stranger.shorten(sale="2s")
    stranger.plan["target"]["base_url"] = NOWHERE
    stranger.plan["timeout"] = "4s"


def _no_toxiproxy(stranger: Stranger) -> None:
    stranger.plan["target"]["toxiproxy"] = NOWHERE


def _no_proxy_for_the_edge(stranger: Stranger) -> None:
    edges = stranger.folder / "edges.toml"
    edges.write_text(edges.read_text().replace("shop-mail", "shop-stock"))
    stranger.plan["faults"][0]["edge"] = "shop-stock"


def _untrusted(stranger: Stranger) -> None:
    stranger.shorten(sale="2s")


def _own_stack(stranger: Stranger) -> None:
    stranger.shorten(sale="2s")
    edges = REPOSITORY / "target_app" / "edges.toml"
    stranger.plan["target"] = {"driver": "processes", "edges": str(edges)}


# -- the generator: 7 -------------------------------------------------------------------------


def _plain(stranger: Stranger) -> None:
    stranger.shorten()


def _stop_generator(stranger: Stranger, running: Running) -> None:
    del stranger
    pid = int(running.wait_for("generator.started")["pid"])
    running.wait_for("phase.ended")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(STOPPED_S)
    os.kill(pid, signal.SIGCONT)


def _kill_generator(stranger: Stranger, running: Running) -> None:
    del stranger
    pid = int(running.wait_for("generator.started")["pid"])
    running.wait_for("phase.ended")
    os.kill(pid, signal.SIGKILL)


# -- in mid-fault: 1, 8, 9, 130, 143 ----------------------------------------------------------


def _unchanged(stranger: Stranger) -> None:
    del stranger


def _longer_fault(stranger: Stranger) -> None:
    stranger.plan["load"]["phases"][1]["duration"] = "12s"
    stranger.plan["faults"][0]["for"] = "9s"


def _break_shop(stranger: Stranger, running: Running) -> None:
    running.wait_for("fault.applied")
    stranger.shop.change(fail_every=1)


def _kill_toxiproxy(stranger: Stranger, running: Running) -> None:
    running.wait_for("fault.applied")
    stranger.toxiproxy.process.kill()


def _freeze_toxiproxy(stranger: Stranger, running: Running) -> None:
    running.wait_for("fault.applied")
    stranger.toxiproxy.process.send_signal(signal.SIGSTOP)


def _signal(number: signal.Signals, event: str) -> Callable[[Stranger, Running], None]:
    def act(stranger: Stranger, running: Running) -> None:
        del stranger
        running.wait_for(event)
        running.process.send_signal(number)

    return act


def _broken_part(stranger: Stranger) -> None:
    """Make a part of surgeproof itself raise in mid-fault: a bug, as a user would meet it."""
    program = (
        "import sys\n"
        "from surgeproof.cli import main\n"
        "from surgeproof.rehearsal import progress\n"
        "whole = progress.Progress.state\n"
        "def state(self, now_s, active):\n"
        "    if active:\n"
        "        raise RuntimeError('a part is broken')\n"
        "    return whole(self, now_s, active)\n"
        "progress.Progress.state = state\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    (stranger.folder / "broken.py").write_text(program)
    stranger.command = (stranger.command[0], "broken.py")


CASES = {
    "3: a service that is too slow": Case(3, ("gate_failed",), _slow, says="NO-GO"),
    "3: a service that answers every third request with 500": Case(3, ("gate_failed",), _failing),
    "3: a service that loses orders": Case(3, ("gate_failed",), _losing, says="ledger.lost"),
    "3: a service that doubles orders": Case(
        3, ("gate_failed",), _doubling, says="ledger.duplicated"
    ),
    "4: a gate about requests that nobody sent, whatever is allowed": Case(
        4, ("gate_no_data",), _asks_about_nothing, arguments=("--allow-inconclusive",)
    ),
    "4: a quantile of too few requests": Case(4, ("gate_inconclusive",), _asks_too_much),
    "0: a quantile of too few requests, if that is allowed": Case(
        0, ("gate_inconclusive",), _asks_too_much, arguments=("--allow-inconclusive",)
    ),
    "4: a fault on an edge that nobody uses": Case(
        4, ("fault_not_observed",), _fault_beside_the_point
    ),
    "4: a service that acknowledges nothing": Case(4, ("nothing_acknowledged",), _refusing),
    "4: orders that cannot be read back": Case(4, ("ledger_unread",), _unreadable),
    "4: a plan without gates": Case(4, ("no_gates",), _without_gates),
    "4: a service that is sick before the fault": Case(
        4, ("steady_state_not_reached",), _sick_from_the_start
    ),
    "4: a run that takes longer than its timeout": Case(
        4, ("timed_out",), _endless, _stand_still, says="timeout of 9s"
    ),
    "6: a service that does not answer": Case(
        6, ("environment_not_ready",), _nobody_home, says="http://127.0.0.1:9 did not answer"
    ),
    "6: a Toxiproxy that does not answer": Case(
        6, ("environment_not_ready",), _no_toxiproxy, says="toxiproxy"
    ),
    "6: an edge without a proxy": Case(
        6, ("environment_not_ready",), _no_proxy_for_the_edge, says="'shop-stock'"
    ),
    "6: a certificate that nobody vouches for": Case(
        6, ("environment_not_ready",), _untrusted, is_tls=True, says="not trusted"
    ),
    "6: a program that is not installed": Case(
        6,
        ("environment_not_ready",),
        _own_stack,
        environ={"SURGEPROOF_TOXIPROXY_SERVER": "/nowhere/toxiproxy-server"},
        says="SURGEPROOF_TOXIPROXY_SERVER",
    ),
    "7: a generator that stood still": Case(7, ("generator_unreliable",), _plain, _stop_generator),
    "7: a generator that was killed": Case(7, ("generator_lost",), _plain, _kill_generator),
    "8: a guard in mid-fault": Case(8, ("aborted",), _longer_fault, _break_shop, says="guard"),
    "9: a Toxiproxy that was killed in mid-fault": Case(
        9, ("rollback_failed",), _unchanged, _kill_toxiproxy, toxics=None
    ),
    "9: a Toxiproxy that hangs in mid-fault": Case(
        9, ("rollback_failed",), _unchanged, _freeze_toxiproxy, toxics=None
    ),
    "130: Ctrl-C in mid-fault": Case(
        130, ("interrupted",), _longer_fault, _signal(signal.SIGINT, "fault.applied")
    ),
    "143: SIGTERM in mid-fault": Case(
        143, ("interrupted",), _longer_fault, _signal(signal.SIGTERM, "fault.applied")
    ),
    "130: Ctrl-C while the service is waited for": Case(
        130, ("interrupted",), _nobody_home, _signal(signal.SIGINT, "run.started")
    ),
    "130: Ctrl-C while the orders are read back": Case(
        130, ("interrupted",), _unreadable, _signal(signal.SIGINT, "generator.ended")
    ),
    "130: Ctrl-C while the verdict is reached": Case(
        130, ("interrupted",), _plain, _signal(signal.SIGINT, "run.ended")
    ),
    "1: a part of surgeproof that is broken": Case(
        1, ("internal_error",), _broken_part, says="a part is broken"
    ),
}


def _go_through(case: Case, workshop: Workshop) -> Ended:
    with workshop.open(is_tls=case.is_tls) as stranger:
        case.prepare(stranger)
        running = stranger.start(*case.arguments, environ=case.environ)
        case.act(stranger, running)
        ended = running.wait()
        stranger.check(ended)
        if case.toxics is not None:
            assert stranger.toxiproxy.toxics() == case.toxics
        return ended


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, workshop: Workshop) -> Iterator[dict[str, Future[Ended]]]:
    """Start the runs that the chosen tests are about."""
    chosen = [
        item.callspec.params["words"]
        for item in request.session.items
        if hasattr(item, "callspec") and item.callspec.params.get("words") in CASES
    ]
    # The longest first, so that nothing waits for it at the end.
    chosen.sort(key=lambda words: not words.startswith("9"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {words: pool.submit(_go_through, CASES[words], workshop) for words in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("words", CASES)
def test_each_exit_code_is_that_of_a_real_run(words: str, runs: dict[str, Future[Ended]]) -> None:
    case, ended = CASES[words], runs[words].result()
    assert set(case.reasons) <= set(ended.reasons), ended.told
    assert case.says in ended.output, ended.told
    assert ended.code == (7 if _was_late(case, ended) else case.code), ended.told
    first = exit_code_of(Reason(ended.reasons[0]))
    assert first in {ended.code, ExitCode.INTERRUPTED, ExitCode.NO_VERDICT}, ended.told


def _was_late(case: Case, ended: Ended) -> bool:
    """Return whether a busy machine made the generator late, which is graver than some codes.

    Late only: arrivals that were dropped, or do not add up, are never the machine's doing here.
    """
    if PRECEDENCE.index(ExitCode(case.code)) < PRECEDENCE.index(ExitCode.UNRELIABLE):
        return False
    told = [
        reason["message"]
        for reason in ended.result["verdict"]["reasons"]
        if reason["code"] == Reason.GENERATOR_UNRELIABLE
    ]
    return any("late at p99" in text and "dropped" not in text for text in told)
