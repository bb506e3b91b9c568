"""Feature flags: flagd's file format, stable rollouts, and a last good value whatever happens."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from target_app.flags import FlagFileError, Flags
from target_app.flags.defects import DEFECTS, defects_of
from target_app.flags.flags import COMPILED
from target_app.flags.model import read_flags
from target_app.flags.murmur import murmur3

PACKAGED = Path(__file__).parents[3] / "target_app" / "flags.json"


class File:
    """A flag file that changes, and what was complained about."""

    def __init__(self, path: Path) -> None:
        self.path = path / "flags.json"
        self.complaints: list[str] = []
        self._version = 0

    def write(self, **flags: dict[str, Any]) -> None:
        self.write_text(
            json.dumps({"flags": {name.replace("__", "."): flags[name] for name in flags}})
        )

    def write_text(self, text: str) -> None:
        self.path.write_text(text)
        # Each version its own moment, however fast they follow each other.
        self._version += 1
        os.utime(self.path, (self._version, self._version))

    def flags(self, **options: Any) -> Flags:
        return Flags(self.path, lambda _, error: self.complaints.append(str(error)), **options)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def boolean(default: str = "off", **more: object) -> dict[str, Any]:
    variants = {"on": True, "off": False}
    return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}


def test_without_a_file_the_compiled_values_hold(file: File) -> None:
    flags = file.flags()
    assert not flags.reload()
    assert flags.text("follow_scope") == "per_app"
    assert flags.number("feed.celebrity_threshold") == 1000
    assert flags.is_on("cache.leases")
    assert file.complaints == []


def test_the_packaged_file_says_what_is_compiled() -> None:
    complaints: list[str] = []
    flags = Flags(PACKAGED, lambda _, error: complaints.append(str(error)))
    before = flags.variants()
    assert flags.reload()
    assert complaints == []
    assert flags.variants() == before


def test_a_file_is_read_again_when_it_changes_and_only_then(file: File) -> None:
    file.write(live__enabled=boolean("off"))
    flags = file.flags()
    assert flags.reload()
    assert not flags.is_on("live.enabled")
    assert not flags.reload()
    file.write(live__enabled=boolean("on"))
    assert flags.reload()
    assert flags.is_on("live.enabled")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"flags": []}',
        json.dumps({"flags": {"live.enabled": boolean(state="ON")}}),
        json.dumps({"flags": {"live.enabled": boolean("maybe")}}),
        json.dumps({"flags": {"live.enabled": boolean(targeting={"cat": [{"xor": [1, 2]}]})}}),
        json.dumps({"flags": {"live.enabled": boolean(targeting={"fractional": [["on", -1]]})}}),
    ],
)
def test_a_broken_file_leaves_the_last_good_values_and_is_told_once(file: File, text: str) -> None:
    file.write(live__enabled=boolean("off"))
    flags = file.flags()
    flags.reload()
    file.write_text(text)
    assert not flags.reload()
    assert not flags.reload()
    assert not flags.is_on("live.enabled")
    assert len(file.complaints) == 1
    file.write(live__enabled=boolean("on"))
    assert flags.reload()
    assert flags.is_on("live.enabled")


def test_a_file_that_vanishes_leaves_the_last_good_values(file: File) -> None:
    file.write(live__enabled=boolean("off"))
    flags = file.flags()
    flags.reload()
    file.path.unlink()
    assert not flags.reload()
    assert not flags.is_on("live.enabled")
    assert len(file.complaints) == 1


def test_a_flag_that_the_app_does_not_have_or_of_another_type_is_told(file: File) -> None:
    word = {"state": "ENABLED", "variants": {"a": "b"}, "defaultVariant": "a"}
    file.write(live__enabld=boolean("on"), cache__leases=word)
    flags = file.flags()
    assert flags.reload()
    assert flags.is_on("cache.leases")
    assert "live.enabld" in file.complaints[0]
    assert "cache.leases is 'b'" in file.complaints[1]


def test_a_fractional_rollout_is_stable_and_near_its_share(file: File) -> None:
    share = {"fractional": [["on", 10], ["off", 90]]}
    file.write(live__enabled=boolean(targeting=share))
    flags = file.flags()
    flags.reload()
    chosen = {user for user in range(20_000) if flags.is_on("live.enabled", user_id=user)}
    assert 0.09 < len(chosen) / 20_000 < 0.11
    wider = {"fractional": [["on", 50], ["off", 50]]}
    file.write(live__enabled=boolean(targeting=wider))
    flags.reload()
    # Who had it keeps it while the rollout goes on.
    assert all(flags.is_on("live.enabled", user_id=user) for user in chosen)
    assert flags.variants()["live.enabled"] == "targeted"


def test_a_rule_may_name_users(file: File) -> None:
    chosen = {"if": [{"in": [{"var": "targetingKey"}, ["7", "8"]]}, "on", "off"]}
    file.write(live__enabled=boolean(targeting=chosen))
    flags = file.flags()
    flags.reload()
    assert [flags.is_on("live.enabled", user_id=user) for user in (7, 8, 9)] == [True, True, False]


def test_a_disabled_flag_is_as_if_it_were_not_there(file: File) -> None:
    file.write(live__enabled=boolean("off", state="DISABLED"))
    flags = file.flags()
    flags.reload()
    assert flags.is_on("live.enabled")


def test_a_flag_switched_by_hand_stays_whatever_the_file_says(file: File) -> None:
    flags = file.flags()
    flags.switch("live.enabled", False)
    file.write(live__enabled=boolean("on"))
    flags.reload()
    assert not flags.is_on("live.enabled")
    flags.switch("live.enabled", None)
    assert flags.is_on("live.enabled")
    with pytest.raises(FlagFileError, match="like True"):
        flags.switch("live.enabled", "yes")
    with pytest.raises(FlagFileError, match=r"no flag .live.enabld."):
        flags.switch("live.enabld", True)


def test_defects_have_no_effect_unless_they_are_allowed(file: File) -> None:
    file.write(defect__missing_timeout=boolean("on"))
    flags = file.flags()
    flags.reload()
    assert not flags.is_on("defect.missing_timeout")
    assert "APP_ALLOW_DEFECTS" in file.complaints[0]
    allowed = file.flags(domain="allowed", allows_defects=True)
    allowed.reload()
    assert allowed.is_on("defect.missing_timeout")
    assert not allowed.is_on("defect.retry_storm")


def test_defects_are_named_by_word_or_number_and_refused_without_leave() -> None:
    mistakes: list[str] = []
    environ = {"APP_DEFECTS": "D1, retry_storm", "APP_ALLOW_DEFECTS": "1"}
    assert defects_of(environ, mistakes) == {"missing_timeout", "retry_storm"}
    assert mistakes == []
    defects_of({"APP_DEFECTS": "D1"}, mistakes)
    defects_of({"APP_DEFECTS": "D99", "APP_ALLOW_DEFECTS": "1"}, mistakes)
    assert "only with APP_ALLOW_DEFECTS=1" in mistakes[0]
    assert "no defect D99" in mistakes[1]
    assert len(set(DEFECTS.values())) == 26


def test_flags_of_a_file_that_contradict_themselves_are_refused() -> None:
    mixed = {"state": "ENABLED", "variants": {"a": True, "b": "x"}, "defaultVariant": "a"}
    with pytest.raises(FlagFileError, match="different types"):
        read_flags(json.dumps({"flags": {"f": mixed}}).encode())


@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        (b"", 0, 0),
        (b"", 1, 0x514E28B7),
        (b"test", 0, 0xBA6BD213),
        (b"Hello, world!", 0x9747B28C, 0x24884CBA),
    ],
)
def test_the_hash_is_murmur3(data: bytes, seed: int, expected: int) -> None:
    assert murmur3(data, seed) == expected


def test_every_compiled_flag_has_a_usable_type() -> None:
    assert {type(value) for value in COMPILED.values()} <= {bool, int, str}
