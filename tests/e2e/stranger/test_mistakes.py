"""Mistakes of a stranger's files: all told at once, with their places, and nothing started: 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.stranger.conftest import Stranger

pytestmark = [pytest.mark.e2e, pytest.mark.full]


def test_all_mistakes_of_a_plan_are_told_at_once_and_nothing_is_started(stranger: Stranger) -> None:
    plan = stranger.plan
    plan["lode"] = 1
    plan["timeout"] = "60"
    plan["target"]["toxiproxy"] = "http://192.0.2.1:8474"
    plan["load"]["file"] = "nobody.py"
    plan["faults"][0]["edge"] = "shop-stor"
    plan["gates"] = ['http.response_time{name="GET /itms/{id}"}: p99 < 300']
    stranger.write()
    checked = stranger.call("validate", "plan.yaml")
    ended = stranger.start().wait()
    assert (checked.code, ended.code, ended.folder) == (2, 2, None), ended.told
    assert checked.errors.splitlines() == ended.errors.removeprefix("surgeproof: ").splitlines()
    for told in (
        "lode: unknown key",
        "did you mean 'load'?",
        "timeout: '60'",
        "target.toxiproxy: 'http://192.0.2.1:8474' is not on this machine",
        "load.file: ",
        "faults[0].edge: unknown edge 'shop-stor'; did you mean 'shop-store'?",
        "gates[0]: ",
    ):
        assert told in ended.errors, ended.told
    lines = ended.errors.removeprefix("surgeproof: ").splitlines()
    assert len(lines) == 6
    assert all(line.startswith("plan.yaml:") for line in lines)
    assert not stranger.runs.exists()
    assert stranger.left_behind() == []


def test_a_secret_that_is_not_in_the_environment_is_told_by_its_name(stranger: Stranger) -> None:
    del stranger.environment["SHOP_TOKEN"]
    ended = stranger.start().wait()
    assert (ended.code, ended.folder) == (2, None)
    assert "target.headers.Authorization" in ended.errors
    assert "SHOP_TOKEN is not set" in ended.errors
    stranger.write()
    checked = stranger.call("validate", "plan.yaml")
    assert checked.code == 0, "checking a plan needs none of its secrets"


def test_a_plan_that_does_not_exist_is_a_mistake_of_the_command_line(stranger: Stranger) -> None:
    ended = stranger.call("run", "nothing.yaml")
    assert ended.code == 2
    assert "nothing.yaml" in ended.errors


def test_a_folder_that_is_no_run_cannot_be_reported(stranger: Stranger) -> None:
    ended = stranger.call("report", ".")
    assert ended.code == 2
    assert "is no run folder" in ended.errors
