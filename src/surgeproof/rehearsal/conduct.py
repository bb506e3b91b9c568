"""One rehearsal on its time axis: target up, load prepared, faults, recovery, read-back, down.

Everything that is started is undone in reverse order, whatever ends the run: first the faults,
then the generator, the observers, the target. What happened goes to the notebook and the journal;
nothing is judged here.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from surgeproof.errors import (
    EnvironmentNotReadyError,
    FaultError,
    RollbackFailedError,
    SurgeproofError,
    UsageError,
)
from surgeproof.faults.effect import ConnectionObserver
from surgeproof.faults.injector import FaultInjector
from surgeproof.faults.schedule import run_faults
from surgeproof.faults.toxiproxy import ToxiproxyServer
from surgeproof.load.handover import LoadOrder
from surgeproof.load.k6 import k6_command, k6_read_back_command
from surgeproof.load.k6.report import k6_messages
from surgeproof.load.k6.thresholds import carry_gates
from surgeproof.load.locust_process import (
    generator_environment,
    locust_command,
    read_back_command,
)
from surgeproof.load.schedule import Schedule
from surgeproof.model.plan import Plan, Window
from surgeproof.model.words import Reason
from surgeproof.observe.exporter import Exporter, LiveMetrics
from surgeproof.observe.observation import Observation, ServerView
from surgeproof.observe.processor_time import TargetProcessorTime
from surgeproof.plan import resolve_headers, resolve_text
from surgeproof.rehearsal.generator import Generator, LoadProcess, last_lines, run_to_end
from surgeproof.rehearsal.generator_fleet import GeneratorFleet
from surgeproof.rehearsal.notebook import Notebook
from surgeproof.rehearsal.progress import Progress
from surgeproof.rehearsal.watch import Surroundings, Watch, timed_out
from surgeproof.stack.definition import read_definition
from surgeproof.stack.external import ExternalTarget
from surgeproof.stack.processes import ProcessStack
from surgeproof.stack.running import RunningStack

__all__ = ["Conductor", "Surroundings"]

# Between telling the generators t0 and t0 itself: they poll for it and arm their timers.
_LEAD_S = 0.5
_EXTERNAL_TIMEOUT_S = 30.0
_PREPARE_TIMEOUT_S = 60.0
_READ_BACK_TIMEOUT_S = 60.0
_TICK_S = 0.1
# After the last arrival, unfinished requests get their own timeout, and the generator its flush.
_DRAIN_S = 15.0
# A stretch before a fault shorter than this shows no calm to compare with.
_SHORTEST_CALM_S = 3.0


class Conductor:
    """Conducts one run. `conduct` may raise; the notebook then says how far it came."""

    def __init__(
        self, plan: Plan, schedule: Schedule, around: Surroundings, notebook: Notebook
    ) -> None:
        self._plan = plan
        self._schedule = schedule
        self._around = around
        self._notebook = notebook
        self._ends_at = around.clock.monotonic() + plan.timeout_s
        self._arrivals_taken: int | None = None
        self._progress = Progress(plan)
        self._metrics = LiveMetrics()
        self._observation: Observation | None = None
        self._target_cpu: TargetProcessorTime | None = None
        self._injector: FaultInjector | None = None

    def conduct(self) -> None:
        """Run the whole rehearsal.

        Raises:
            SurgeproofError: it ended early, for the reason that the error's class names.
        """
        with ExitStack() as opened:
            running = self._bring_up(opened)
            self._observe(opened, running)
            self._injector = self._open_injector(opened, running)
            generator, order_path = self._prepare_load(opened, running)
            self._start(generator)
            try:
                self._drive(generator, running)
            finally:
                self._notebook.end_s = self._end_s()
                self._undo_faults()
            self._read_back(order_path)
            self._collect()

    # The target ---------------------------------------------------------------------------------

    def _bring_up(self, opened: ExitStack) -> RunningStack:
        plan, around = self._plan, self._around
        headers = resolve_headers(plan.target, around.environ)
        if plan.target.driver == "external":
            if plan.target.base_url is None:
                raise UsageError("target.base_url is missing; accepted: the address of the target")
            around.view.say(f"waiting for {plan.target.base_url}")
            external = ExternalTarget(
                plan.target.base_url,
                headers=headers,
                ca_bundle=plan.target.ca_bundle,
                ready_timeout_s=self._within_timeout(_EXTERNAL_TIMEOUT_S),
                clock=around.clock,
            )
            running = opened.enter_context(external)
        else:
            if plan.target.stack_file is None:
                raise UsageError(
                    "target.edges is missing; accepted: a file with a stack.toml beside"
                )
            around.view.say(f"starting the stack of {plan.target.stack_file}")
            env = {
                name: resolve_text(value, around.environ, f"target.env.{name}")
                for name, value in plan.target.env.items()
            }
            stack = ProcessStack(
                read_definition(plan.target.stack_file, plan.target.edges_file),
                seed=plan.seed,
                run_folder=around.folder,
                guardian=around.guardian,
                env=env,
                clock=around.clock,
                environ=around.environ,
            )
            running = opened.enter_context(stack)
        opened.callback(lambda: around.view.say("taking the target down"))
        around.events.append(
            "stack.ready",
            base_url=running.base_url,
            processes=[name for name, _ in running.processes],
            database_was_cached=running.database_was_cached,
        )
        return running

    def _observe(self, opened: ExitStack, running: RunningStack) -> None:
        around = self._around
        exporter = opened.enter_context(Exporter(self._metrics))
        observation = opened.enter_context(
            Observation(around.folder, around.clock, running.metrics_urls)
        )
        can_start = running.extras is not None
        observation.prepare(
            start_extra=running.start_extra if can_start else None,
            prometheus_url=around.prometheus_url,
            harness_url=exporter.url,
            search_path=around.environ.get("PATH"),
        )
        self._observation = observation
        self._target_cpu = opened.enter_context(
            TargetProcessorTime(running.processes, around.folder.path)
        )

    def _open_injector(self, opened: ExitStack, running: RunningStack) -> FaultInjector | None:
        plan, around = self._plan, self._around
        if not plan.faults:
            return None
        url = running.toxiproxy_url or plan.target.toxiproxy_url
        if url is None:
            raise UsageError("the plan has faults, but the target names no Toxiproxy")
        server = ToxiproxyServer(url)
        missing = sorted({fault.edge for fault in plan.faults} - server.proxies().keys())
        if missing:
            raise EnvironmentNotReadyError(
                f"toxiproxy at {url} has no proxy {', '.join(map(repr, missing))}, which a fault "
                f"of the plan needs; it has: {', '.join(sorted(server.proxies())) or 'none'}"
            )
        injector = FaultInjector(
            server,
            around.folder.id,
            around.events,
            around.guardian,
            around.clock,
            observer=ConnectionObserver(),
        )
        opened.callback(self._undo_faults)
        return injector

    # The load -----------------------------------------------------------------------------------

    def _prepare_load(self, opened: ExitStack, running: RunningStack) -> tuple[LoadProcess, Path]:
        plan, around = self._plan, self._around
        around.view.say("preparing the load")
        order = LoadOrder.of_plan(plan, running.base_url, around.folder.samples)
        order_path = around.folder.write_text("load.json", order.to_json())
        if plan.load.engine == "k6":
            carry_gates(plan.gates, self._schedule).write(order_path.parent)
        headers = resolve_headers(plan.target, around.environ)
        environment = generator_environment(around.environ, order_path, headers)
        generator = self._start_load(opened, order, order_path, environment)
        generator.wait_until_ready(self._within_timeout(_PREPARE_TIMEOUT_S))
        return generator, order_path

    def _start_load(
        self, opened: ExitStack, order: LoadOrder, order_path: Path, environment: dict[str, str]
    ) -> LoadProcess:
        around, load = self._around, self._plan.load
        if load.engine == "locust" and load.workers > 1:
            fleet = GeneratorFleet(around.folder, around.guardian, around.clock)
            opened.callback(fleet.stop)
            fleet.start(order, environment, around.environ)
            return fleet
        generator = Generator(around.folder, around.guardian, around.clock)
        opened.callback(generator.stop)
        command = k6_command(order_path) if load.engine == "k6" else locust_command(order)
        generator.start(command, environment)
        return generator

    def _start(self, generator: LoadProcess) -> None:
        around = self._around
        t0 = around.clock.monotonic() + _LEAD_S
        started_at = around.clock.utc_now() + timedelta(seconds=_LEAD_S)
        generator.announce_start(t0)
        around.events.rebase(t0)
        self._note_happenings(generator)
        if self._observation is not None:
            self._observation.begin(t0, started_at)

    def _drive(self, generator: LoadProcess, running: RunningStack) -> None:
        """Watch the load to its end while the faults come and go by their timetable."""
        plan, around = self._plan, self._around
        stop = threading.Event()
        timetable = None
        if self._injector is not None:
            timetable = run_faults(plan.faults, self._injector, around.events, around.clock, stop)
        try:
            watch = Watch(plan, around, self._notebook, ends_at=self._ends_at)
            deadline_s = plan.duration_s + _DRAIN_S
            while True:
                now_s = around.events.now()
                self._take_pulses(generator)
                watch.look(now_s, running)
                self._tell(now_s)
                if self._target_cpu is not None:
                    self._target_cpu.look(now_s)
                if timetable is not None and timetable.rollback_failed:
                    raise RollbackFailedError("; ".join(map(str, timetable.problems)))
                code = generator.poll()
                if code is not None:
                    self._note_end(generator, code, now_s)
                    return
                if now_s > deadline_s:
                    self._notebook.because(
                        Reason.GENERATOR_LOST,
                        f"the generator still runs {_DRAIN_S:.0f} s after its last arrival",
                    )
                    return
                around.clock.sleep(_TICK_S)
        finally:
            stop.set()
            if timetable is not None:
                timetable.join()
                self._notebook.notes += [str(problem) for problem in timetable.problems]
            generator.stop()
            self._take_pulses(generator)
            for message in k6_messages(around.folder.samples):
                around.events.append("log", message=message)

    def _note_happenings(self, generator: LoadProcess) -> None:
        for name, fields in generator.happenings():
            self._around.events.append(name, sync=False, **fields)
            if name == "generator.lost":
                self._notebook.notes.append(
                    f"load worker {fields['generator']} was lost ({fields['reason']}):"
                    f" {fields['unknown']} arrivals of unknown fate count as dropped"
                )

    def _take_pulses(self, generator: LoadProcess) -> None:
        self._note_happenings(generator)
        pulses = generator.pulses.read()
        self._progress.add(pulses)
        for pulse in pulses:
            if pulse.is_end:
                self._arrivals_taken = pulse.scheduled
            self._metrics.note_pulse(
                0,
                {
                    "t_s": pulse.t_s,
                    "scheduled": pulse.scheduled,
                    "sent": pulse.sent,
                    "dropped": pulse.dropped,
                    "completed": pulse.completed,
                    "errors": pulse.errors,
                    "in_flight": pulse.in_flight,
                    "p99_s": pulse.p99_s,
                    "cpu_ratio": pulse.cpu_ratio,
                },
            )

    def _note_end(self, generator: LoadProcess, code: int, now_s: float) -> None:
        if code == 0 and now_s >= self._plan.duration_s:
            self._around.events.append("generator.ended", generator=generator.label, code=code)
            return
        self._around.events.append("generator.lost", generator=generator.label, code=code)
        tail = "; ".join(last_lines(generator.log_path, 3))
        self._notebook.because(
            Reason.GENERATOR_LOST, f"the generator ended with {code} after {now_s:.1f} s: {tail}"
        )

    def _tell(self, now_s: float) -> None:
        """Show the live view and the live metrics what is going on."""
        active = () if self._injector is None else self._injector.active()
        for fault in self._plan.faults:
            self._metrics.set_fault(fault.name, active=fault.name in active)
        for phase in self._plan.load.phases:
            inside = phase.start_s <= now_s < phase.start_s + phase.duration_s
            self._metrics.set_phase(phase.name, active=inside)
        self._around.view.update(self._progress.state(now_s, active))

    # The end ------------------------------------------------------------------------------------

    def _end_s(self) -> float:
        """Return where the load ended, in seconds since t0: at the plan's end, or where it broke.

        A generator that was told to stop says how many arrivals it had come to. The run ends at
        the first that it had not: that one was cancelled, and is neither sent nor dropped.
        """
        end_s = max(0.0, min(self._around.events.now(), self._plan.duration_s))
        taken, times_s = self._arrivals_taken, self._schedule.times_s
        if taken is None or taken >= len(times_s):
            return end_s
        return min(end_s, float(times_s[taken]))

    def _within_timeout(self, most_s: float) -> float:
        """Return ``most_s``, or what is left of the run's own timeout if that is less."""
        return max(0.0, min(most_s, self._ends_at - self._around.clock.monotonic()))

    def _undo_faults(self) -> None:
        """Remove what is still applied; a fault that stays is a reason of its own."""
        injector = self._injector
        if injector is None:
            return
        try:
            injector.undo_all()
        except FaultError as error:
            if self._notebook.has(Reason.PROXY_RESTARTED):
                # Our own server is gone, and its faults with it.
                self._notebook.notes.append(str(error))
            else:
                self._notebook.because(Reason.ROLLBACK_FAILED, str(error))
        self._notebook.faults = injector.records(self._plan.faults)

    def _read_back(self, order_path: Path) -> None:
        plan, around = self._plan, self._around
        if not plan.ledger_kinds:
            return
        around.view.say("reading the ledger back")
        headers = resolve_headers(plan.target, around.environ)
        is_k6 = plan.load.engine == "k6"
        try:
            run_to_end(
                k6_read_back_command(order_path) if is_k6 else read_back_command(order_path),
                name="read-back",
                environment=generator_environment(around.environ, order_path, headers),
                log_path=around.folder.logs / "read-back.log",
                wrapper=around.guardian,
                timeout_s=self._within_timeout(_READ_BACK_TIMEOUT_S),
            )
        except SurgeproofError as error:
            # The ledger then counts its writes as unread, which is inconclusive by itself.
            self._notebook.notes.append(f"the ledger could not be read back: {error}")
            if not self._within_timeout(_READ_BACK_TIMEOUT_S):
                self._notebook.because(Reason.TIMED_OUT, timed_out(plan))
        around.events.append("ledger.read_back", kinds=list(plan.ledger_kinds))

    def _collect(self) -> None:
        """Take the servers' side of the run while they are still up."""
        if self._observation is None:
            return
        view = self._observation.collect(self._notebook.end_s)
        self._notebook.notes.extend(view.notes)
        if view.panels:
            view.write(self._around.folder)
        self._judge_effects(view)

    def _judge_effects(self, view: ServerView) -> None:
        """Note of each fault whether the target's side felt it, where that can be told."""
        ended_s = 0.0
        for fault in sorted(self._plan.faults, key=lambda fault: fault.start_s):
            record = next((r for r in self._notebook.faults if r.name == fault.name), None)
            if record is None or record.window is None:
                continue
            during = record.window
            start_s = max(ended_s, during.start_s - max(during.duration_s, _SHORTEST_CALM_S))
            ended_s = during.end_s
            if during.start_s - start_s >= _SHORTEST_CALM_S:
                before = Window(f"before:{fault.name}", start_s, during.start_s)
                effect = view.effect(fault, before, during)
                self._notebook.effects[fault.name] = effect.detail
                if effect.observed is not None:
                    self._notebook.observations[fault.name] = effect.observed
                    continue
            # An edge without a connection cannot have hurt anybody; one with some may have, and
            # then the requests themselves decide.
            if record.observed is False:
                self._notebook.observations[fault.name] = False
