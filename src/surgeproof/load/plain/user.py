"""`PlainUsers`: the one Locust user that starts the tasks of all others by the schedule."""

from __future__ import annotations

import inspect
import logging
import os
from pathlib import Path
from typing import Any

import gevent
from locust import User, task
from locust.env import Environment
from locust.runners import LocalRunner
from locust.stats import CSV_STATS_INTERVAL_SEC
from locust.user.task import filter_tasks_by_tags

from surgeproof.errors import SurgeproofError, UsageError
from surgeproof.load.handover import ORDER_VARIABLE, LoadOrder, headers_from
from surgeproof.load.plain.equipment import Equipment
from surgeproof.load.plain.run import PlainRun
from surgeproof.load.user import OpenLoopUser, order_beside

__all__ = ["PlainUsers", "plain_classes", "take_over"]

_LOG = logging.getLogger("surgeproof.load")


class PlainUsers(User):
    """Runs the tasks of a locustfile's own user classes when the plan's schedule says so.

    It is loaded beside their file (``locust -f mine.py -f …/plain_users.py``). The order comes
    from the harness; by hand from the plan of the same stem beside their file.
    """

    abstract = True
    fixed_count = 1

    @task
    def drive_load(self) -> None:
        """Drive the whole run; the one Locust task of this user."""
        run: PlainRun | None = None
        try:
            run = self._open_run()
            run.follow()
        except SurgeproofError as error:
            _LOG.error("%s", error)
            self.environment.process_exit_code = error.exit_code
        except Exception:  # noqa: BLE001 - the border to the locustfile's code
            _LOG.exception("the load could not be driven")
            self.environment.process_exit_code = 1
        finally:
            # Also on GreenletExit, which is how Locust stops a user.
            if run is not None:
                run.finish()
        self._let_locust_write()
        runner = self.environment.runner
        is_headless = self.environment.web_ui is None
        # In a greenlet of its own: stopping kills this one, in the midst of whatever it does.
        gevent.spawn(runner.quit if is_headless else runner.stop)
        while True:
            gevent.sleep(1)

    def _open_run(self) -> PlainRun:
        if not isinstance(self.environment.runner, LocalRunner):
            raise UsageError("plain users run in one process; accepted: load.workers: 1")
        classes = plain_classes(self.environment)
        if not classes:
            raise UsageError("the locustfile has no user class with a task")
        order = _order_for(classes[0], self.host)
        options = self.environment.parsed_options
        for user_class in classes:
            filter_tasks_by_tags(
                user_class,
                set(getattr(options, "tags", None) or ()) or None,
                set(getattr(options, "exclude_tags", None) or ()) or None,
            )
        equipment = Equipment(order, headers_from(os.environ), self.environment)
        return PlainRun(order, classes, equipment, self.environment)

    def _let_locust_write(self) -> None:
        """Wait for Locust's CSV files: it writes them by the second, and not at its end."""
        options = self.environment.parsed_options
        if options is not None and options.csv_prefix:
            gevent.sleep(CSV_STATS_INTERVAL_SEC * 1.5)


def plain_classes(environment: Environment) -> list[type[User]]:
    """Return the user classes of the locustfiles that are none of ours, in their order.

    Those that the command line names, where it names any.
    """
    found: dict[str, Any] = environment.available_user_classes or {}
    named = set(getattr(environment.parsed_options, "user_classes", None) or ())
    plain = {
        name: each
        for name, each in found.items()
        if not issubclass(each, OpenLoopUser | PlainUsers) and each.weight > 0
    }
    chosen = [each for name, each in plain.items() if name in named]
    return chosen or list(plain.values())


def take_over(environment: Environment, **_: Any) -> None:
    """Leave Locust with the one user class that shall run: a listener of its init event.

    A file with journeys of ours runs as without this; else `PlainUsers` runs the others' tasks.
    """
    classes: dict[str, Any] = environment.available_user_classes or {}
    drivers = [each for each in classes.values() if issubclass(each, PlainUsers)]
    if any(issubclass(each, OpenLoopUser) for each in classes.values()):
        environment.user_classes[:] = [
            each for each in environment.user_classes if each not in drivers
        ]
        return
    environment.user_classes[:] = drivers
    if environment.shape_class is not None:
        _LOG.warning("the plan's arrivals take the place of the locustfile's load shape")
        environment.shape_class = None


def _order_for(user_class: type[User], host: str | None) -> LoadOrder:
    path = os.environ.get(ORDER_VARIABLE)
    if path:
        return LoadOrder.read(Path(path))
    return order_beside(Path(inspect.getfile(user_class)), host)
