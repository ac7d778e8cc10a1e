"""The monitor: what it reads, learns and keeps of services that start, sleep, crash and go."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from structlog.testing import capture_logs
from trio.lowlevel import current_clock
from trio.testing import MockClock

from service_manager.model import Priority, State
from service_manager.monitor.anomaly import Metric, Rule
from service_manager.monitor.assembly import monitor_of
from service_manager.monitor.history import History
from service_manager.monitor.machine import MachineUse
from service_manager.monitor.monitor import Monitor
from service_manager.monitor.sample import MACHINE
from service_manager.monitor.schema import snapshot_schema
from service_manager.monitor.tracker import Anomaly
from service_manager.policy.rules import MonitorRules
from service_manager.resources import MemoryUse, ResourceUse
from service_manager.status import ServiceStatus

pytestmark = pytest.mark.anyio

MB = 1024 * 1024
WALL = 1_800_000_000.0


class Machine:
    """A manager's services and two clocks, all of which the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wall = WALL
        self.services: dict[str, tuple[ServiceStatus, ResourceUse | None]] = {}
        self.broken = False
        self.told: list[Anomaly] = []

    def put(self, name: str, state: State, cpu_s: float | None, memory: int = 50 * MB, run: int = 1) -> None:
        status = ServiceStatus(name, state, Priority.NORMAL, pid=100 + run, starts=run)
        use = None if cpu_s is None else ResourceUse(cpu_s, MemoryUse(memory, 2 * MB, MB), 0, 0)
        self.services[name] = status, use

    def status(self) -> tuple[ServiceStatus, ...]:
        return tuple(status for status, _ in self.services.values())

    async def usage(self) -> Mapping[str, ResourceUse]:
        if self.broken:
            raise OSError("no /proc here")
        return {name: use for name, (_, use) in self.services.items() if use is not None}

    def read(self, at: float) -> MachineUse:
        return MachineUse(at, 2, busy_s=at / 2, memory_total=1000, memory_available=400)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


@asynccontextmanager
async def watching(machine: Machine, **options: Any) -> AsyncGenerator[Monitor]:
    history = History(None)
    try:
        yield Monitor(
            machine,
            history,
            clock=lambda: machine.now,
            wall=lambda: machine.wall,
            machine=machine.read,
            on_anomaly=machine.told.append,
            **options,
        )
    finally:
        await history.aclose()


async def test_a_reading_tells_what_each_service_and_the_machine_use() -> None:
    machine = Machine()
    machine.put("time", State.RUNNING, 1.0)
    machine.put("git", State.STOPPED, None)
    async with watching(machine) as monitor:
        assert monitor.snapshot().plain()["services"] == {}
        await monitor.read()
        machine.pass_time(30)
        machine.put("time", State.RUNNING, 4.0)
        plain = (await monitor.read()).plain()
        kept = await monitor.history("time", WALL)
        of_machine = await monitor.history(MACHINE, WALL)

    assert (plain["at"], plain["history"], plain["interval_s"]) == (WALL + 30, "memory", 30.0)
    assert plain["machine"]["cpu_percent"] == pytest.approx(25.0)
    assert plain["machine"]["memory_used"] == 600
    time, git = plain["services"]["time"], plain["services"]["git"]
    assert (time["state"], time["cpu_percent"], time["disk_read"], time["received"]) == (
        "running",
        10.0,
        0.0,
        None,
    )
    assert time["memory"] == {"pss": 50 * MB, "swap": 2 * MB, "compressed": MB, "held": 51 * MB}
    assert time["baseline"]["memory"]["mean"] == 51 * MB
    assert (git["state"], git["memory"], git["processes"]) == ("stopped", None, 0)
    assert [(sample.at, sample.cpu_percent) for sample in kept] == [(WALL, None), (WALL + 30, 10.0)]
    assert len(of_machine) == 2


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
async def test_a_wall_clock_that_jumps_changes_no_rate(jump_s: float) -> None:
    machine = Machine()
    machine.put("time", State.RUNNING, 1.0)
    async with watching(machine) as monitor:
        await monitor.read()
        machine.now += 30
        machine.wall += jump_s
        machine.put("time", State.RUNNING, 4.0)
        snapshot = await monitor.read()

    assert snapshot.plain()["services"]["time"]["cpu_percent"] == 10.0


async def test_only_what_is_awake_is_learned_from() -> None:
    machine = Machine()
    async with watching(machine) as monitor:
        for state, memory in [
            (State.RUNNING, 50 * MB),
            (State.RUNNING, 50 * MB),
            (State.SLEEPING, MB),
            (State.SLEEPING, MB),
            # The interval of the wake was half a sleep.
            (State.RUNNING, 40 * MB),
            (State.RUNNING, 50 * MB),
        ]:
            machine.put("time", state, 1.0, memory)
            snapshot = await monitor.read()
            machine.pass_time(30)

    (time,) = snapshot.services
    baseline = time.baselines[Metric.MEMORY]
    assert (baseline.mean, baseline.deviation, baseline.readings) == (51 * MB, 0.0, 2)


async def test_an_anomaly_is_told_once_and_is_over_when_the_service_sleeps() -> None:
    machine = Machine()
    rule = Rule(floor=20.0 * MB, in_a_row=2, learned=3)
    with capture_logs() as logs:
        async with watching(machine, metrics=dict.fromkeys(Metric, rule)) as monitor:
            for memory in [50, 51, 52, 50, 50, 400, 400, 400]:
                machine.put("leaky", State.RUNNING, 1.0, memory * MB)
                snapshot = await monitor.read()
                machine.pass_time(30)
            (found,) = snapshot.plain()["services"]["leaky"]["anomalies"]
            machine.put("leaky", State.SLEEPING, 1.0, MB)
            asleep = await monitor.read()

    assert (found["metric"], found["value"], found["since"]) == ("memory", 401 * MB, WALL + 180)
    assert 50 * MB < found["usual"] < 60 * MB
    assert [anomaly.service for anomaly in machine.told] == ["leaky"]
    assert asleep.plain()["services"]["leaky"]["anomalies"] == []
    assert [line["event"] for line in logs] == ["service_uses_more_than_usual", "service_uses_as_usual"]


def fits(schema: Draft202012Validator, value: Any) -> bool:
    return schema.is_valid(value)  # pyright: ignore[reportUnknownMemberType]  # no stubs


async def test_what_is_told_has_the_shape_that_is_told_of_it() -> None:
    machine = Machine()
    rule = Rule(floor=20.0 * MB, in_a_row=1, learned=1)
    async with watching(machine, metrics=dict.fromkeys(Metric, rule)) as monitor:
        schema = Draft202012Validator(snapshot_schema())
        assert fits(schema, monitor.snapshot().plain())
        machine.put("git", State.STOPPED, None)
        for memory in [50, 50, 400]:
            machine.put("leaky", State.RUNNING, 1.0, memory * MB)
            assert fits(schema, (await monitor.read()).plain())
            machine.pass_time(30)
        plain = monitor.snapshot().plain()

    assert plain["services"]["leaky"]["anomalies"]


async def test_the_limits_file_says_how_often_is_read_and_what_is_unusual(tmp_path: Path) -> None:
    machine, rules = Machine(), MonitorRules(interval_s=7.0, history_s=60.0, anomaly_factor=2.0)
    machine.put("time", State.RUNNING, 1.0)
    environ = {"TOOL_ROUTER_HOME": str(tmp_path)}
    monitor = monitor_of(machine, tmp_path / "services.yml", environ, rules)
    snapshot = await monitor.read()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await monitor.run()

    assert (snapshot.interval_s, snapshot.history) == (7.0, True)
    assert list((tmp_path / "state").glob("usage-*.sqlite3"))


async def test_a_restart_is_no_load() -> None:
    machine = Machine()
    machine.put("time", State.RUNNING, 900.0)
    async with watching(machine) as monitor:
        await monitor.read()
        machine.pass_time(30)
        machine.put("time", State.RUNNING, 0.3, run=2)
        snapshot = await monitor.read()

    assert snapshot.services[0].rates.cpu_percent == pytest.approx(1.0)


async def test_what_can_not_be_read_is_told_once_and_tried_again() -> None:
    machine = Machine()
    machine.put("time", State.RUNNING, 1.0)
    with capture_logs() as logs:
        async with watching(machine) as monitor:
            first = await monitor.read()
            machine.broken = True
            assert [await monitor.read(), await monitor.read(), await monitor.look(0)] == [
                first,
                first,
                first,
            ]
            machine.broken = False
            machine.pass_time(30)
            again = await monitor.read()

    assert [line["event"] for line in logs] == ["usage_unreadable"]
    assert again.at == WALL + 30


async def test_a_service_that_was_taken_out_is_forgotten() -> None:
    machine = Machine()
    machine.put("time", State.RUNNING, 1.0)
    async with watching(machine) as monitor:
        for _ in range(3):
            await monitor.read()
            machine.pass_time(30)
        before = machine.services.pop("time")
        await monitor.read()
        machine.services["time"] = before
        snapshot = await monitor.read()

    assert not snapshot.services[0].baselines


async def test_looking_closely_teaches_nothing_and_tells_the_rates_since_the_last_look() -> None:
    machine = Machine()
    machine.put("time", State.RUNNING, 0.0)
    async with watching(machine) as monitor:
        await monitor.read()
        for cpu_s in [0.0, 1.0, 3.0]:
            machine.pass_time(2)
            machine.put("time", State.RUNNING, cpu_s)
            looked = await monitor.look(max_age_s=1.0)
        machine.pass_time(0.5)
        machine.put("time", State.RUNNING, 3.5)
        fresh_enough = await monitor.look(max_age_s=1.0)
        machine.pass_time(23.5)
        machine.put("time", State.RUNNING, 6.0)
        regular = await monitor.read()
        kept = await monitor.history("time", 0)

    assert looked.services[0].rates.cpu_percent == 100.0
    assert fresh_enough is looked
    assert regular.services[0].rates.cpu_percent == pytest.approx(20.0)
    assert regular.services[0].baselines[Metric.CPU].readings == 1
    assert len(kept) == 2


@pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"]
)
async def test_services_are_read_at_every_interval_until_it_is_cancelled() -> None:
    machine, history, at = Machine(), History(None), list[float]()
    began = anyio.current_time()
    with anyio.CancelScope() as scope:

        def read(monotonic: float) -> MachineUse:
            at.append(monotonic - began)
            if len(at) == 4:
                scope.cancel()
            return machine.read(monotonic)

        await Monitor(machine, history, interval_s=45, clock=anyio.current_time, machine=read).run()

    assert scope.cancelled_caught
    assert at == [0, 45, 90, 135]


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock()})], ids=["trio"])
async def test_another_interval_holds_at_once_and_what_was_learned_stays() -> None:
    clock = current_clock()
    assert isinstance(clock, MockClock)
    machine, history, at = Machine(), History(None), list[float]()
    machine.put("time", State.RUNNING, 0.0)

    def read(monotonic: float) -> MachineUse:
        at.append(monotonic - began)
        return machine.read(monotonic)

    monitor = Monitor(machine, history, interval_s=45, clock=anyio.current_time, machine=read)
    began = anyio.current_time()

    async def passes(seconds: float) -> None:
        """Seconds pass, and the reading that is then due, a part of which is done on a thread."""
        clock.jump(seconds)
        await anyio.wait_all_tasks_blocked()
        await monitor.look(max_age_s=float("inf"))
        await anyio.wait_all_tasks_blocked()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor.run)
        for seconds in (0, 45, 45):
            await passes(seconds)
        clock.jump(10)
        monitor.adjust(MonitorRules(interval_s=10, history_s=60))
        for seconds in (0, 10, 10):
            await passes(seconds)
        tasks.cancel_scope.cancel()

    assert at == [0, 45, 90, 100, 110, 120]
    assert history.kept_s == 60
    assert monitor.snapshot().plain()["interval_s"] == 10
    # The first reading teaches nothing: it is not known since when it is awake.
    assert monitor.snapshot().services[0].baselines[Metric.MEMORY].readings == 5


async def test_a_look_shows_a_service_that_has_just_started() -> None:
    machine = Machine()
    machine.put("time", State.STOPPED, None)
    async with watching(machine) as monitor:
        await monitor.read()
        machine.put("time", State.RUNNING, 1.0)
        started = await monitor.look(max_age_s=60.0)
        machine.put("time", State.RUNNING, 2.0)
        same = await monitor.look(max_age_s=60.0)

    assert started.services[0].state is State.RUNNING
    assert same is started
