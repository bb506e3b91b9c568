"""Room on the disk: asked for where the runs go, even before that folder exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from surgeproof.errors import EnvironmentNotReadyError
from surgeproof.rehearsal.space import free_bytes, require_space


def test_a_folder_that_does_not_exist_yet_has_the_room_of_its_disk(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "runs" / "one") == pytest.approx(free_bytes(tmp_path), rel=0.01)


def test_a_disk_with_room_is_accepted(tmp_path: Path) -> None:
    require_space(tmp_path, least_bytes=1)


def test_a_disk_without_room_is_refused_with_what_is_there_and_what_is_wanted(
    tmp_path: Path,
) -> None:
    with pytest.raises(EnvironmentNotReadyError) as caught:
        require_space(tmp_path, least_bytes=2**60)
    message = str(caught.value)
    assert message.startswith("the disk is full: ")
    assert f"MiB are free for {tmp_path}; accepted: {2**40} MiB or more" in message
