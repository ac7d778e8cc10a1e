"""A wall clock that jumps: what is learned and kept survives it, and nothing that waits depends on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import anyio
import pytest

from service_manager import manager as managing
from service_manager.config.lock import Lock
from service_manager.lifecycle.keepsakes import StoredKeepsakes
from service_manager.model import State, Tier
from service_manager.monitor.history import History
from service_manager.monitor.monitor import Monitor
from service_manager.policy.habits import habits_from_json
from service_manager.policy.rules import PredictiveRules
from tests.integration.service_troubles.trouble import ask, manager_of, trouble, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what keeps its state stays awake"),
]

JUMPS = {
    "into 1970": timedelta(days=-20000),
    "an hour back": timedelta(hours=-1),
    "a day ahead": timedelta(days=1),
    "ten years ahead": timedelta(days=3653),
    "to the last days there are": datetime.max.replace(tzinfo=UTC) - datetime.now(UTC) - timedelta(days=2),
}


class Wall(datetime):
    """The time of day, as far off as it was set."""

    off = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.off


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Generator[type[Wall]]:
    monkeypatch.setattr(managing, "datetime", Wall)
    yield Wall
    Wall.off = timedelta()


async def test_services_are_used_sleep_and_are_remembered_whatever_the_wall_clock_does(
    wall: type[Wall], tmp_path: Path
) -> None:
    keepsakes = StoredKeepsakes(tmp_path, Lock({}))
    service = trouble(sleep=Tier.FROZEN, idle_timeout_s=0.05, min_sleep_time_s=0.0)
    manager = manager_of(service, keepsakes=keepsakes)
    async with manager.open():
        for off in (*JUMPS.values(), timedelta()):
            wall.off = off
            assert await ask(manager, "echo", text="x") == "x"
            # It counts its idle time by another clock.
            await until(lambda: manager.one("s").state is State.SLEEPING)
            idle_s = manager.one("s").idle_s
            assert idle_s is not None
            assert 0 <= idle_s < 10
        assert manager.one("s").starts == 1
        await until(lambda: bool(keepsakes.habits()))
    kept = habits_from_json(keepsakes.habits())
    assert kept.to_json()["services"].keys() == {"s"}


@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
def test_a_jump_wakes_nobody_at_a_time_of_no_habit_and_habits_are_learned_again_after_it(
    jump: timedelta,
) -> None:
    habits, rules = habits_from_json({}), PredictiveRules(observations=3)
    nine = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)

    def use(first: int, last: int) -> None:
        for day in range(first, last):
            habits.used("s", nine + timedelta(days=day))

    def due(now: datetime, asked_at: datetime | None = None) -> tuple[str, ...]:
        return habits.due(now, rules, lambda name: True, asked_at)

    use(0, 10)
    before = nine + timedelta(days=10, minutes=-6)
    assert due(before) == ("s",)
    night = (before + jump).replace(hour=3)
    assert due(night, before) == ()
    # Right again without a use in between, it is as it was.
    assert due(before, night) == ("s",)

    habits.used("s", night)
    use(10, 40)
    assert due(before + timedelta(days=30)) == ("s",)


async def test_what_services_use_is_measured_by_the_other_clock_and_kept_by_either(
    tmp_path: Path,
) -> None:
    off_s = [0.0]
    manager = manager_of(trouble())
    history = History(tmp_path / "usage.sqlite3")
    monitor = Monitor(manager, history, interval_s=0.05, wall=lambda: time.time() + off_s[0])
    async with manager.open():
        await manager.ready("s")
        for off_s[0] in (0.0, *(jump.total_seconds() for jump in JUMPS.values()), 0.0):
            await anyio.sleep(0.05)
            snapshot = await monitor.read()
            (use,) = snapshot.services
            assert use.use is not None
            assert use.rates.cpu_percent is None or 0 <= use.rates.cpu_percent < 1000
        assert await monitor.history("s", time.time() - 60)
        assert not history.in_memory
    await history.aclose()
