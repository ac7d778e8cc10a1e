"""A process that comes from a zygote is as one that was started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.integration.zygote.conftest import ENTRIES, Nursery, ending

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="zygotes are for Linux only"),
]

SCRIPT = "import sys\nfrom well import report\nsys.exit(report())\n"


async def report_of_a_started_one(nursery: Nursery, env: dict[str, str], cwd: str | None) -> dict[str, Any]:
    script = nursery.environment / "bin" / "service"
    await anyio.Path(script).write_text(SCRIPT)
    process = await anyio.open_process(
        [str(nursery.environment / "bin" / "python"), str(script), "--flag", "x"],
        stdin=subprocess.PIPE,
        env=nursery.base | env,
        cwd=cwd,
        start_new_session=True,
    )
    return json.loads((await ending(process)).output)


@pytest.mark.parametrize(
    ("env", "cwd"),
    [
        ({}, None),
        ({"DEMO_KEY": "secret", "TZ": "Asia/Tokyo"}, None),
        ({}, "/"),
    ],
    ids=["nothing of its own", "its own environment", "its own directory"],
)
async def test_it_is_given_what_a_started_one_is_given(
    nursery: Nursery, env: dict[str, str], cwd: str | None
) -> None:
    started = await report_of_a_started_one(nursery, env, cwd)

    process = await nursery.forked("well:report", "--flag", "x", env=env, cwd=cwd)
    forked = json.loads((await ending(process)).output)

    assert forked == started
    assert forked["leads"]


async def test_what_a_service_does_not_have_the_zygotes_own_environment_does_not_give_it(
    nursery: Nursery,
) -> None:
    env = {name: value for name, value in nursery.base.items() if name != "GATE"}
    process = await nursery.zygotes.start(str(nursery.environment), "well:report", ["x/service"], env, None)

    assert process is not None
    assert "GATE" not in json.loads((await ending(process)).output)["env"]


@pytest.mark.parametrize(
    ("function", "code", "output", "errors"),
    [
        ("fine", 0, "written, handled", ""),
        ("three", 3, "", ""),
        ("words", 1, "", "these words\n"),
        ("leave", 5, "", ""),
        ("fail", 1, "", "RuntimeError: this error\n"),
        ("drop", 7, "", ""),
        ("terminate", -15, "", ""),
        ("no_such_function", 1, "", "has no attribute 'no_such_function'\n"),
    ],
)
async def test_it_ends_as_a_started_one(
    nursery: Nursery, function: str, code: int, output: str, errors: str
) -> None:
    ended = await ending(await nursery.forked(f"well:{function}"))

    assert (ended.code, ended.output) == (code, output)
    assert ended.errors.endswith(errors)
    assert bool(ended.errors) == bool(errors)


async def test_its_streams_carry_more_than_a_pipe_holds(nursery: Nursery) -> None:
    data = bytes(range(32, 127)) * 20_000

    ended = await ending(await nursery.forked("well:copy"), data)

    assert (ended.code, ended.output) == (0, data.decode())


async def test_each_is_a_process_of_its_own_with_its_own_chance(nursery: Nursery) -> None:
    told: list[list[str]] = []

    async def one() -> None:
        told.append((await ending(await nursery.forked("well:draw"))).output.split())

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(one)

    assert len({pid for pid, _ in told}) == 10
    assert len({number for _, number in told}) == 10


async def test_its_end_is_told_to_everybody_who_waits(nursery: Nursery) -> None:
    process = await nursery.forked("well:copy")
    codes: list[int] = []
    impatient = anyio.CancelScope(deadline=0)

    async def wait() -> None:
        codes.append(await process.wait())

    async with process:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(wait)
            with impatient:
                await process.wait()
            await process.stdin.aclose()

        assert impatient.cancelled_caught
        assert (codes, process.returncode, await process.wait()) == ([0, 0], 0, 0)


async def test_a_closed_one_is_killed_whatever_it_ignores(nursery: Nursery) -> None:
    process = await nursery.forked("well:stay")
    await process.stdout.receive()

    with anyio.fail_after(10):
        await process.aclose()

    assert process.returncode == -9
    await process.aclose()
    process.terminate()


async def test_closed_streams_say_so(nursery: Nursery) -> None:
    async with await nursery.forked("well:three") as process:
        await process.wait()
        with pytest.raises(anyio.BrokenResourceError):
            await process.stdin.send(b"x" * 100_000)
        with pytest.raises(anyio.EndOfStream):
            await process.stdout.receive()

    with pytest.raises(anyio.ClosedResourceError):
        await process.stdout.receive()
    with pytest.raises(anyio.ClosedResourceError):
        await process.stdin.send(b"x")


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    program = Path(__file__).parents[3] / "service_manager" / "zygote" / "program.py"
    code = f"import sys, runpy; runpy.run_path({str(program)!r}); print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )

    assert {name.partition(".")[0] for name in said.stdout.split()} <= sys.stdlib_module_names | {"__main__"}
    assert ENTRIES.is_dir()
