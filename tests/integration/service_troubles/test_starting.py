"""Services that do not start as they should: silent, noisy, dead at once."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from service_manager.errors import ServiceStartFailed
from service_manager.model import State
from tests.integration.service_troubles.trouble import (
    Clock,
    alive,
    ask,
    children_with,
    ignore,
    manager_of,
    pid_of,
    trouble,
    until,
)

pytestmark = pytest.mark.anyio


async def test_a_service_that_never_answers_initialize_is_given_up_in_time_with_its_last_words(
    tmp_path: Path,
) -> None:
    starts = tmp_path / "starts"
    manager = manager_of(trouble("silent", "deaf", f"starts={starts}", start_timeout_s=0.4))
    async with manager.open():
        began = anyio.current_time()
        with pytest.raises(ServiceStartFailed, match=r"initialize within 0\.4 s") as failed:
            await manager.ready("s")
        # The time it may take to start and the time it may take to end.
        assert 0.4 <= anyio.current_time() - began < 3
        assert failed.value.stderr_tail == ("thinking it over",)
        assert "thinking it over" in str(failed.value)
        assert manager.one("s").state is State.STOPPED
        assert not alive(int(starts.read_text()))


async def test_noise_before_between_and_inside_a_session_is_passed_over() -> None:
    manager = manager_of(trouble("noise"))
    async with manager.open():
        answers: dict[int, str] = {}

        async def call(number: int) -> None:
            answers[number] = await ask(manager, "echo", text=str(number))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(call, number)
        assert answers == {number: str(number) for number in range(20)}
        assert (manager.one("s").starts, manager.one("s").crashes) == (1, 0)


async def test_a_line_of_ten_megabytes_that_is_no_message_is_passed_over() -> None:
    manager = manager_of(trouble("big-noise=10"))
    async with manager.open():
        assert await ask(manager, "echo", text="after it") == "after it"


async def test_a_service_whose_lists_are_no_lists_can_still_be_called() -> None:
    manager = manager_of(trouble("odd-lists"))
    async with manager.open():
        pid = await pid_of(manager)
        # What it offers is asked once nobody uses it.
        await until(lambda: bool(manager.journal("s").written))
        assert await ask(manager, "echo", text="x") == "x"
        await anyio.wait_all_tasks_blocked()
        assert await pid_of(manager) == pid
        assert (manager.one("s").starts, manager.one("s").state) == (1, State.RUNNING)


async def test_a_service_that_dies_at_once_fails_for_good_after_three_starts_and_recovers_after_the_backoff(
    tmp_path: Path,
) -> None:
    clock, starts, licence = Clock(), tmp_path / "starts", tmp_path / "licence"
    manager = manager_of(trouble(f"starts={starts}", f"die-without={licence}"), clock=clock)

    def started() -> int:
        return len(starts.read_text().splitlines())

    async with manager.open():
        for _ in range(3):
            with pytest.raises(ServiceStartFailed, match=r"exit code 7\..*no licence found"):
                await manager.ready("s")
        assert manager.one("s").state is State.FAILED
        assert "no licence found" in manager.one("s").failure
        clock.now += 14.9
        with pytest.raises(
            ServiceStartFailed, match=r"failed 3 times in a row\. .*no licence found.*again in"
        ):
            await manager.ready("s")
        assert started() == 3

        clock.now += 0.1
        with pytest.raises(ServiceStartFailed, match="no licence found"):
            await manager.ready("s")
        clock.now += 15
        # The wait has doubled.
        with pytest.raises(ServiceStartFailed, match="again in"):
            await manager.ready("s")
        assert started() == 4

        licence.touch()
        clock.now += 15
        assert await ask(manager, "echo", text="at last") == "at last"
        assert (manager.one("s").state, manager.one("s").failure) == (State.RUNNING, "")


async def test_a_person_who_stops_a_failed_service_forgives_it(tmp_path: Path) -> None:
    licence = tmp_path / "licence"
    manager = manager_of(trouble(f"die-without={licence}"))
    async with manager.open():
        for _ in range(3):
            with pytest.raises(ServiceStartFailed):
                await manager.ready("s")
        licence.touch()
        await manager.stop("s")
        assert manager.one("s").state is State.STOPPED
        assert await ask(manager, "echo", text="x") == "x"


async def test_a_start_that_everybody_gave_up_on_leaves_nothing_behind(tmp_path: Path) -> None:
    marker = str(tmp_path / "starts")
    manager = manager_of(trouble("silent", f"starts={marker}", start_timeout_s=60))
    async with manager.open():
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(manager.ready, "s", ignore)
                await until(lambda: bool(children_with(marker)))
                scope.cancel()
        assert manager.one("s").leases == 0
        with anyio.fail_after(5):
            await manager.stop("s")
        assert not children_with(marker)
    assert not children_with(marker)
