"""The live panel of a terminal, by rich."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from surgeproof.clock import Clock
from surgeproof.report.live_state import LiveState, edges, faults_text, gates_text, p99_text
from surgeproof.report.wording import plain, rate_text, ratio_text, span_text

__all__ = ["TerminalView"]

_FRAME_EVERY_S = 0.25
_BAR_SIGNS = 32


class TerminalView:
    """A panel that is drawn over at most four times a second; edges stay above it as lines."""

    def __init__(self, stream: TextIO, clock: Clock, *, no_color: bool = False) -> None:
        self._clock = clock
        console = Console(file=stream, no_color=no_color, highlight=False, force_terminal=True)
        self._live: Live | None = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._last: LiveState | None = None
        self._said = ""
        self._said_at_s = self._due_s = clock.monotonic()

    def say(self, text: str) -> None:
        self._said, self._said_at_s = plain(text), self._clock.monotonic()
        self._draw((self._said,))

    def update(self, state: LiveState) -> None:
        self._said = ""
        begun = tuple(edges(self._last, state))
        self._last = state
        if begun or self._clock.monotonic() >= self._due_s:
            self._draw(begun)

    def beat(self) -> None:
        if self._clock.monotonic() >= self._due_s:
            self._draw(())

    def close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except (OSError, ValueError):
                return  # the terminal went away first

    def _draw(self, begun: tuple[str, ...]) -> None:
        if self._live is None:
            return
        now_s = self._clock.monotonic()
        self._due_s = now_s + _FRAME_EVERY_S
        try:
            self._live.start()
            for text in begun:
                self._live.console.print(Text(text, style="dim"))
            self._live.update(self._panel(now_s), refresh=True)
        except (OSError, ValueError):
            # The terminal is gone, which is no reason to end a rehearsal.
            self._live = None

    def _panel(self, now_s: float) -> RenderableType:
        if self._said or self._last is None:
            waited = span_text(now_s - self._said_at_s)
            return Text.assemble((self._said or "getting ready", "bold"), (f"  {waited}", "dim"))
        return _panel_of(self._last)


def _panel_of(state: LiveState) -> Group:
    bar = Table.grid(padding=(0, 2))
    done_s = min(max(state.t_s, 0.0), state.duration_s)
    bar.add_row(
        Text(plain(state.phase) or "getting ready", style="bold"),
        ProgressBar(
            total=max(state.duration_s, 1e-9),
            completed=done_s,
            width=_BAR_SIGNS,
            complete_style="cyan",
        ),
        Text(f"{span_text(done_s)} of {span_text(state.duration_s)}"),
        Text(f"{span_text(state.left_s)} left", style="dim"),
    )
    numbers = Table.grid(padding=(0, 3))
    numbers.add_row(
        _pair("offered", rate_text(state.offered_per_s)),
        _pair("completed", rate_text(state.completed_per_s)),
        _pair("p99", p99_text(state), "bold red" if state.is_over_limit else "bold"),
        _pair("errors", ratio_text(state.error_ratio)),
    )
    rows: list[RenderableType] = [bar, numbers]
    if state.active_faults:
        rows.append(_pair("faults", faults_text(state), "bold yellow"))
    if state.gates_breached:
        rows.append(_pair("gates breached", gates_text(state), "bold red"))
    if state.note:
        rows.append(Text(plain(state.note), style="dim"))
    return Group(*rows)


def _pair(name: str, value: str, style: str = "bold") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style))
