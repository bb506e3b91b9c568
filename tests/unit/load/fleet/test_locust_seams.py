"""What a fleet relies on within Locust, checked against the version that is installed.

In a process of its own: Locust changes the one that it is imported into.
"""

from __future__ import annotations

import os
import subprocess
import sys

CHECK = """
import inspect
from types import SimpleNamespace
from locust import User, events
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner
from surgeproof.load.fleet.dispatcher import OneUserEach
from surgeproof.load.fleet.messages import Ping, Pong, to_data
from surgeproof.load.fleet.post import Post

assert "dispatcher_class" in inspect.signature(Environment).parameters
assert "self.environment.dispatcher_class(" in inspect.getsource(MasterRunner.start)
for name in ("get_worker_index", "send_message", "quit", "stop"):
    assert callable(getattr(MasterRunner, name)), name
assert list(inspect.signature(WorkerRunner.send_message).parameters)[1:] == [
    "msg_type", "data", "client_id"]
assert callable(WorkerRunner._send_stats)
for name in ("init", "test_start", "test_stopping", "quitting"):
    assert hasattr(events, name), name
# A worker's own listener, added later, comes before the one that takes leave of the master.
assert "reverse" in inspect.signature(events.quitting.fire).parameters
assert "quitting.fire(environment=environment, reverse=True)" in inspect.getsource(
    __import__("locust.main").main)

# The dispatcher stands in for Locust's: one user of each class on every worker, late ones too.
class Someone(User):
    pass

runner = SimpleNamespace(target_user_count=0)
nodes = [SimpleNamespace(id="a"), SimpleNamespace(id="b")]
dispatcher = OneUserEach(runner, nodes, [Someone])
for name, method in vars(OneUserEach).items():
    if inspect.isfunction(method) and name != "__init__":
        assert hasattr(UsersDispatcher, name), name
dispatcher.new_dispatch(17, 5.0)
assert list(dispatcher) == [{"a": {"Someone": 1}, "b": {"Someone": 1}}]
assert runner.target_user_count == 2
dispatcher.add_worker(SimpleNamespace(id="c"))
dispatcher.remove_worker(nodes[0])
dispatcher.new_dispatch(1, 1.0)
assert list(dispatcher) == [{"b": {"Someone": 1}, "c": {"Someone": 1}}]
dispatcher.new_dispatch(0, 1.0)
assert list(dispatcher) == [{"b": {"Someone": 0}, "c": {"Someone": 0}}]

# The post office: a second run's handlers take the place of the first's; noise is let go.
runner = Runner(Environment(user_classes=[Someone]))
post, heard = Post(runner), []
post.on(Ping, lambda sender, message, received: heard.append(("first", message)))
post.on(Ping, lambda sender, message, received: heard.append((sender, message)))
listener, _ = runner.custom_messages[Ping.kind]
listener(environment=None, msg=SimpleNamespace(node_id="a", data=to_data(Ping(2.5))))
listener(environment=None, msg=SimpleNamespace(node_id="a", data={"asked": "noise"}))
assert heard == [("a", Ping(2.5))], heard
"""


def test_locust_has_what_a_fleet_relies_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        env={**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
