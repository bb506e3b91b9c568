"""How a run ends in a Locust process: by its schedule, a time limit, a stop, a signal, a shape.

Internals of Locust that this relies on (2.47; pinned by a test): a stop with ``--stop-timeout``
sets the user's ``_state`` to ``LOCUST_STATE_STOPPING``; ``stats.total`` is a new object in each
test; ``events.quitting`` fires while the greenlet that writes the CSV files still runs.
"""

from __future__ import annotations

from typing import Any

import gevent
from locust import User
from locust.env import Environment
from locust.runners import LocalRunner
from locust.stats import CSV_STATS_INTERVAL_SEC
from locust.user.task import LOCUST_STATE_STOPPING

__all__ = ["complete_csv", "is_asked_to_stop", "is_second_run_of_a_test"]

# What has been driven, noted at the environment: it lives as long as the test can.
_DRIVEN = "surgeproof_driven_test"


def is_asked_to_stop(user: User) -> bool:
    """Whether Locust waits for the user to end by itself (``--stop-timeout``)."""
    return bool(user._state == LOCUST_STATE_STOPPING)  # noqa: SLF001 - no public name for it


def is_second_run_of_a_test(environment: Environment) -> bool:
    """Whether a user of this test has driven its schedule already; notes that one does now.

    A shape, or a key in the terminal, can take the user away and bring another. It would send
    the whole schedule again, beside a clock that does not begin again. Workers are their master's
    matter: it deals arrivals out again as they come and go.
    """
    if not isinstance(environment.runner, LocalRunner):
        return False
    test = environment.stats.total
    if getattr(environment, _DRIVEN, None) is test:
        return True
    setattr(environment, _DRIVEN, test)
    return False


def complete_csv(environment: Environment) -> None:
    """Let Locust's CSV files hold the whole run, however it ends.

    Locust writes them by the second and not at its end. Call it in each run; it counts once.
    """
    options = environment.parsed_options
    quitting: Any = environment.events.quitting
    if options is None or not options.csv_prefix or _write_the_rest in quitting._handlers:  # noqa: SLF001
        return
    quitting.add_listener(_write_the_rest)


def _write_the_rest(environment: Environment, **_rest: object) -> None:
    """Stop the users, whose last requests count too, and wait for one more writing."""
    if environment.runner is not None:
        environment.runner.stop()
    gevent.sleep(CSV_STATS_INTERVAL_SEC * 1.5)
