from __future__ import annotations

import numpy as np

from surgeproof.load.k6.agree import compare_journals
from surgeproof.model.samples import Drops, Labels, Samples

COUNT = 200


def journal(
    *, shift_s: float = 0.0, service_s: float = 0.01, errors: int = 0, name: str = "GET /a"
) -> tuple[Samples, Drops]:
    """Return 50 arrivals a second for four seconds, all of one request."""
    intended_s = (np.arange(COUNT) + 0.5) / 50 + shift_s
    codes = np.zeros(COUNT, dtype=np.int32)
    outcome = codes.copy()
    outcome[:errors] = 1
    plain = Labels(codes, ("",))
    ones = np.ones(COUNT)
    samples = Samples(
        intended_s=intended_s,
        start_s=intended_s + 0.001,
        first_byte_s=intended_s + 0.002,
        end_s=intended_s + 0.001 + service_s,
        generator=codes.astype(np.uint16),
        session=np.arange(COUNT, dtype=np.uint64),
        step=ones.astype(np.uint16),
        attempt=ones.astype(np.uint8),
        status=codes.astype(np.uint16),
        sent_bytes=codes.astype(np.uint64),
        received_bytes=codes.astype(np.uint64),
        items=codes,
        items_full=codes,
        name=Labels(codes, (name,)),
        method=plain,
        tier=plain,
        phase=plain,
        outcome=Labels(outcome, ("full", "error")),
        error_kind=plain,
        degraded=plain,
    )
    none = Labels(np.empty(0, dtype=np.int32), ())
    return samples, Drops(np.empty(0), none, none, none)


def test_two_runs_of_one_plan_agree() -> None:
    agreement = compare_journals(journal(), journal(service_s=0.011))
    assert agreement.holds
    assert "the same number of arrivals in every second" in str(agreement)


def test_an_arrival_in_another_second_is_no_agreement() -> None:
    agreement = compare_journals(journal(), journal(shift_s=0.02))
    assert not agreement.holds
    assert agreement.seconds_apart == (0, 4)
    assert "other counts in 2 seconds: 0, 4" in str(agreement)


def test_each_figure_that_differs_is_named() -> None:
    agreement = compare_journals(
        journal(), journal(service_s=0.2, errors=COUNT // 2, name="GET /b")
    )
    apart = {row.name for row in agreement.rows if not row.agrees}
    assert apart == {"service time p50", "service time p95", "error ratio", "GET /a", "GET /b"}
