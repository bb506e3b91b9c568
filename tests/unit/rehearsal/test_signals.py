"""The first signal ends a run in order, and handlers are put back afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from surgeproof.model.words import ExitCode
from surgeproof.rehearsal.signals import InterruptedRunError, interruptible


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_a_signal_becomes_an_error_with_its_exit_code(number, code):
    with (
        pytest.raises(InterruptedRunError, match=signal.Signals(number).name) as caught,
        interruptible(),
    ):
        os.kill(os.getpid(), number)
    assert caught.value.code is code


def test_who_goes_on_after_errors_does_not_go_on_after_a_signal():
    with pytest.raises(InterruptedRunError), interruptible(), contextlib.suppress(Exception):
        os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_signal_ends_the_process_at_once():
    code = """
import os, signal
from surgeproof.rehearsal.signals import interruptible
with interruptible():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        print("still here")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
