"""The verdict: health of the generator, reasons, status and exit code."""

from __future__ import annotations

from itertools import pairwise

import pytest

from surgeproof.model.result import (
    FaultRecord,
    GateResult,
    GeneratorHealth,
    LedgerCounts,
    VerdictReason,
)
from surgeproof.model.words import ExitCode, Reason, Status
from surgeproof.slo.verdict import PRECEDENCE, decide, exit_code_of, most_severe


def gate(status: Status) -> GateResult:
    return GateResult("g", "http.errors: rate < 1%", status, 0.5, 0.01, 9, None, "in words")


def fault(applied: float | None, observed: bool | None) -> FaultRecord:
    return FaultRecord("f", "down", "edge", 1.0, applied, 2.0, True, observed)


def health(healthy: bool) -> GeneratorHealth:
    return GeneratorHealth(0.5, 0.001, 0.001, 0.0, healthy, () if healthy else ("too late",))


def ledger(acked: int, unread: int = 0) -> dict[str, LedgerCounts]:
    return {"post": LedgerCounts(acked, acked, 0, 0, 0, 0, 0, unread)}


PASSED = [gate(Status.PASS)]


@pytest.mark.parametrize(
    ("given", "status", "code", "reasons"),
    [
        pytest.param({}, Status.PASS, 0, [], id="all well"),
        pytest.param(
            {"gates": [gate(Status.FAIL)]}, Status.FAIL, 3, ["gate_failed"], id="a gate failed"
        ),
        pytest.param(
            {"gates": [gate(Status.NO_DATA)]}, Status.NO_DATA, 4, ["gate_no_data"], id="no data"
        ),
        pytest.param(
            {"gates": [gate(Status.INCONCLUSIVE)]},
            Status.INCONCLUSIVE,
            4,
            ["gate_inconclusive"],
            id="inconclusive",
        ),
        pytest.param({"gates": []}, Status.INCONCLUSIVE, 4, ["no_gates"], id="nothing asked"),
        pytest.param(
            {"sample_count": 0, "gates": [gate(Status.NO_DATA)]},
            Status.NO_DATA,
            4,
            ["no_samples", "gate_no_data"],
            id="nothing sent",
        ),
        pytest.param(
            {"faults": [fault(None, None)]},
            Status.INCONCLUSIVE,
            4,
            ["fault_not_observed"],
            id="a fault never applied",
        ),
        pytest.param(
            {"faults": [fault(1.0, False)]},
            Status.INCONCLUSIVE,
            4,
            ["fault_not_observed"],
            id="a fault without effect",
        ),
        pytest.param(
            {"faults": [fault(1.0, None)]},
            Status.INCONCLUSIVE,
            4,
            ["fault_not_observed"],
            id="a fault whose effect nobody could see",
        ),
        pytest.param({"faults": [fault(1.0, True)]}, Status.PASS, 0, [], id="a fault seen"),
        pytest.param(
            {"ledger": ledger(0)}, Status.INCONCLUSIVE, 4, ["nothing_acknowledged"], id="no writes"
        ),
        pytest.param(
            {"ledger": ledger(5, 1)}, Status.INCONCLUSIVE, 4, ["ledger_unread"], id="writes unread"
        ),
        pytest.param(
            {"health": health(False)},
            Status.INCONCLUSIVE,
            7,
            ["generator_unreliable"],
            id="generator unreliable",
        ),
        pytest.param(
            {"health": health(False), "gates": [gate(Status.FAIL)]},
            Status.FAIL,
            7,
            ["generator_unreliable", "gate_failed"],
            id="unreliable goes before a failed gate",
        ),
        pytest.param(
            {"happenings": [VerdictReason(Reason.ABORTED, "")], "gates": [gate(Status.NO_DATA)]},
            Status.INCONCLUSIVE,
            8,
            ["aborted", "gate_no_data"],
            id="aborted by a guard",
        ),
        pytest.param(
            {
                "happenings": [
                    VerdictReason(Reason.ABORTED, ""),
                    VerdictReason(Reason.ROLLBACK_FAILED, ""),
                ]
            },
            Status.INCONCLUSIVE,
            9,
            ["rollback_failed", "aborted"],
            id="a fault left behind goes before everything",
        ),
        pytest.param(
            {"happenings": [VerdictReason(Reason.INTERRUPTED, "")]},
            Status.INCONCLUSIVE,
            130,
            ["interrupted"],
            id="interrupted",
        ),
        pytest.param(
            {
                "happenings": [VerdictReason(Reason.INTERRUPTED, "")],
                "signal_code": ExitCode.TERMINATED,
            },
            Status.INCONCLUSIVE,
            143,
            ["interrupted"],
            id="terminated",
        ),
        pytest.param(
            {"happenings": [VerdictReason(Reason.ENVIRONMENT_NOT_READY, "")]},
            Status.INCONCLUSIVE,
            6,
            ["environment_not_ready"],
            id="environment",
        ),
        pytest.param(
            {"happenings": [VerdictReason(Reason.INTERNAL_ERROR, "")]},
            Status.INCONCLUSIVE,
            1,
            ["internal_error"],
            id="a bug",
        ),
    ],
)
def test_verdict(given: dict[str, object], status: Status, code: int, reasons: list[str]) -> None:
    verdict = decide(**{"gates": PASSED, **given})  # type: ignore[arg-type]
    assert (verdict.status, int(verdict.exit_code)) == (status, code)
    assert [str(reason.code) for reason in verdict.reasons] == reasons


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.PASS, "GO"),
        (Status.FAIL, "NO-GO"),
        (Status.NO_DATA, "NO VERDICT"),
        (Status.INCONCLUSIVE, "NO VERDICT"),
    ],
)
def test_verdict_in_words(status: Status, words: str) -> None:
    assert decide([gate(status)]).words == words


def test_every_reason_of_a_failed_run_is_kept() -> None:
    verdict = decide([gate(Status.FAIL), gate(Status.FAIL)], faults=[fault(1.0, False)])
    assert len(verdict.reasons) == 3
    assert verdict.status is Status.FAIL


def test_allowing_inconclusive_turns_it_into_zero_and_nothing_else() -> None:
    def code(*gates: GateResult) -> int:
        return decide(gates, allow_inconclusive=True).exit_code

    assert code(gate(Status.INCONCLUSIVE)) == 0
    assert code(gate(Status.NO_DATA)) == 4
    assert code(gate(Status.NO_DATA), gate(Status.INCONCLUSIVE)) == 4
    assert code(gate(Status.FAIL), gate(Status.INCONCLUSIVE)) == 3
    assert decide(PASSED, health=health(False), allow_inconclusive=True).exit_code == 7


def test_precedence_is_the_contract_s() -> None:
    assert [int(code) for code in PRECEDENCE] == [9, 1, 130, 143, 2, 6, 7, 8, 3, 5, 4, 0]
    assert set(PRECEDENCE) == set(ExitCode)
    for graver, lighter in pairwise(PRECEDENCE):
        assert most_severe([lighter, graver]) is graver
    assert most_severe([]) is ExitCode.PASS


def test_every_reason_has_an_exit_code_that_is_no_pass() -> None:
    assert all(exit_code_of(reason) is not ExitCode.PASS for reason in Reason)


def test_an_unreliable_generator_is_told_with_what_to_change() -> None:
    sick = GeneratorHealth(0.9, 0.1, 0.1, 0.0, False, ("too late",), ("use more workers",))
    (reason,) = decide(PASSED, health=sick).reasons
    assert reason.message.endswith("too late. To change: use more workers")
