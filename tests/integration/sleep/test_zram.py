"""Paging out to memory that is compressed: one pass, and what it takes is counted."""

from __future__ import annotations

import time

import pytest

from service_manager.drivers.sleeping import ProcessSleeper
from service_manager.linux.capabilities import Capabilities
from service_manager.model import Tier
from tests.integration.sleep.conftest import StartCounter

pytestmark = pytest.mark.anyio


@pytest.mark.alone
async def test_on_zram_the_compressed_memory_is_counted(start: StartCounter, zram_swap: Capabilities) -> None:
    async with start() as counter:
        sleeper = ProcessSleeper(counter.pid, zram_swap)
        awake = await sleeper.memory()
        began = time.perf_counter()
        await sleeper.sleep(Tier.PAGED_FULL)
        # One pass is enough, and nothing is waited for.
        assert time.perf_counter() - began < 0.3
        asleep = await sleeper.memory()
        assert asleep.pss < 0.3 * awake.pss
        # Half of every page is random, so that about half of it is left.
        assert 0.4 * asleep.swap < asleep.compressed < 0.8 * asleep.swap
        assert asleep.held == asleep.pss + asleep.compressed
        await sleeper.wake()
        assert await counter.ask("look") == "True"
