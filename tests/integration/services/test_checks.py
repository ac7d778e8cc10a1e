"""Health checks: all services at once, within their time, whatever some of them do."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import anyio
import pytest

from service_manager.model import CommandSource, ServiceSpec, State
from tests.integration.services.test_manager import manager_of, until

pytestmark = pytest.mark.anyio

SERVICE = Path(__file__).parents[2] / "support" / "plain_service.py"


def spec(name: str, *flags: str) -> ServiceSpec:
    source = CommandSource((sys.executable, "-I", "-S", str(SERVICE), *flags))
    return ServiceSpec(name, source, min_sleep_time_s=0.0, stop_timeout_s=0.5)


async def test_fifty_services_are_checked_within_five_seconds_though_ten_of_them_hang() -> None:
    well = [spec(f"well-{number}") for number in range(40)]
    hung = [spec(f"hung-{number}", "--hang") for number in range(10)]
    manager = manager_of(*well, *hung, crowded=True)
    async with manager.open():
        async with anyio.create_task_group() as tasks:
            for service in (*well, *hung):
                tasks.start_soon(manager.ready, service.name)
        began = time.monotonic()
        checks = await manager.check()
        took_s = time.monotonic() - began

    assert took_s < 5.0
    assert {check.name for check in checks if not check.ok} == {service.name for service in hung}
    assert all("did not answer a ping" in check.detail for check in checks if not check.ok)


async def test_a_check_wakes_nobody_and_finds_a_sleeper_well() -> None:
    manager = manager_of(spec("s"))
    async with manager.open():
        await manager.ready("s")
        await until(lambda: manager.one("s").leases == 0)
        await manager.sleep("s")
        (check,) = await manager.check()
        assert check.ok
        assert check.ms is None
        assert manager.one("s").state is State.SLEEPING


async def test_a_service_that_does_not_start_is_found_ill_with_its_last_words() -> None:
    manager = manager_of(spec("s", "--die"))
    async with manager.open():
        for _ in range(3):
            with pytest.raises(Exception, match="did not start"):
                await manager.ready("s")
        (check,) = await manager.check()
        assert not check.ok
        assert "no licence" in check.detail
