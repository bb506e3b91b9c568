"""How Locust's master spreads its users here: one engine on each worker, whatever count is asked.

A user of ours drives all arrivals of its worker, so "users" in Locust's UI are workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from locust.dispatch import UsersDispatcher
from locust.runners import MasterRunner, WorkerNode
from locust.user.users import User

__all__ = ["OneUserEach"]


class OneUserEach(UsersDispatcher):
    """Puts one user of each class on every worker, those that join later included."""

    def __init__(
        self,
        runner: MasterRunner,
        worker_nodes: Sequence[WorkerNode],
        user_classes: Sequence[type[User]],
    ) -> None:
        # Not the parent's: nothing of its state is used.
        self._runner = runner
        self._nodes = {node.id: node for node in worker_nodes}
        self._names = [user_class.__name__ for user_class in user_classes]
        self._count = 0
        self._is_due = False

    @property
    def dispatch_in_progress(self) -> bool:
        return False

    def new_dispatch(
        self, target_user_count: int, spawn_rate: float, user_classes: Any = None
    ) -> None:
        """Prepare one round; more than no user asked for means one on each worker."""
        del spawn_rate, user_classes
        self._count = 1 if target_user_count > 0 else 0
        self._is_due = True

    def add_worker(self, worker_node: WorkerNode) -> None:
        self._nodes[worker_node.id] = worker_node

    def remove_worker(self, worker_node: WorkerNode) -> None:
        self._nodes.pop(worker_node.id, None)

    def __next__(self) -> dict[str, dict[str, int]]:
        if not self._is_due:
            raise StopIteration
        self._is_due = False
        # Locust waits until as many users as this are there, and warns if it is in vain.
        self._runner.target_user_count = self._count * len(self._nodes) * len(self._names)
        return {node: dict.fromkeys(self._names, self._count) for node in self._nodes}
