"""Services as containers of a real engine: started, reached, ended and left nowhere."""

from __future__ import annotations

import anyio
import pytest

from service_manager.drivers.docker_engine import connect
from service_manager.drivers.http_endpoint import free_port
from service_manager.errors import ServiceStartFailed
from service_manager.resources import Limits
from tests.integration.docker.running import Containers, use, use_up

pytestmark = pytest.mark.anyio


async def test_a_container_is_talked_to_over_its_standard_streams(containers: Containers) -> None:
    async with containers.talk(env={"GREETING": "hello"}) as (running, client):
        assert await use(client, "env", "GREETING") == "hello"
        assert await use(client, "echo", "é" * 200_000) == "é" * 200_000
        assert running.ending() == ""
        assert running.last_words() == ("small server",)
        assert await running.health() == "running"


async def test_many_requests_at_once_each_get_their_own_answer(containers: Containers) -> None:
    answers: dict[int, str] = {}
    async with containers.talk() as (_, client):

        async def one(number: int) -> None:
            answers[number] = await use(client, "echo", str(number) * 5000)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)

    assert answers == {number: str(number) * 5000 for number in range(50)}


async def test_a_flood_on_stderr_neither_blocks_the_answers_nor_is_kept(containers: Containers) -> None:
    async with containers.talk() as (_, client):
        assert await use(client, "shout", 20_000) == "hoarse"
        with anyio.fail_after(10):
            while containers.journal.written < 20_000:  # noqa: ASYNC110  # a journal sets no event
                await anyio.sleep(0.01)
    assert len(containers.journal.tail(10_000)) == 1000


async def test_a_container_is_talked_to_over_http_at_a_port_that_was_free(containers: Containers) -> None:
    endpoint = "http://127.0.0.1:{port}/mcp"
    async with containers.talk("--port", "{port}", endpoint=endpoint) as (running, client):
        assert await use(client, "echo", "hi") == "hi"
        assert running.last_words() == ("small server",)


async def test_an_endpoint_whose_port_is_taken_is_told_before_anything_starts(containers: Containers) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as taken:
        port = taken.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(ServiceStartFailed, match=f"another program listens at port {port}"):
            async with containers.run("--port", str(port), endpoint=f"http://127.0.0.1:{port}/mcp"):
                pass


async def test_an_endpoint_that_nobody_serves_is_given_up_in_time(containers: Containers) -> None:
    elsewhere, here = str(free_port()), "http://127.0.0.1:{port}/mcp"
    with pytest.raises(ServiceStartFailed, match=r"within 1\.5 s.*Its last lines: small server"):
        async with containers.run("--port", elsewhere, endpoint=here, start_timeout_s=1.5):
            pass


async def test_a_container_that_ends_before_it_answers_is_told_at_once(containers: Containers) -> None:
    with pytest.raises(ServiceStartFailed, match=r"(?s)it ended before it answered, exit code 1.*ValueError"):
        async with containers.run("--port", "none", endpoint="http://127.0.0.1:{port}/mcp"):
            pass


async def test_an_image_the_engine_has_not_is_named(containers: Containers) -> None:
    with pytest.raises(ServiceStartFailed, match=r"has no image nowhere:9.*docker pull nowhere:9"):
        async with containers.run(image="nowhere:9"):
            pass


async def test_an_image_whose_program_is_missing_is_told_with_what_the_engine_says(
    containers: Containers,
) -> None:
    with pytest.raises(ServiceStartFailed, match="/nothing"):
        async with containers.run(image="broken:1"):
            pass


async def test_an_engine_that_is_not_there_is_named(containers: Containers) -> None:
    containers.environ["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    with pytest.raises(ServiceStartFailed, match=r"engine at unix:///nowhere/docker\.sock.*DOCKER_HOST"):
        async with containers.run():
            pass


async def test_a_container_that_dies_is_noticed_with_its_exit_code_and_last_words(
    containers: Containers,
) -> None:
    async with containers.talk() as (running, client):
        await use_up(client, "die", 3)
        with anyio.fail_after(10):
            await running.wait()
        assert running.ending() == "exit code 3"
        assert running.last_words()[-1] == "the end is near"


async def test_a_container_that_someone_else_removes_is_noticed(containers: Containers) -> None:
    async with containers.run() as running:
        containers.ask("remove_container", containers.names()[0], force=True)
        with anyio.fail_after(10):
            await running.wait()
        assert running.ending()


async def test_a_container_that_ignores_its_end_is_killed_after_its_grace(containers: Containers) -> None:
    async with containers.run("--deaf", stop_timeout_s=0.3):
        before = anyio.current_time()
    assert 0.3 <= anyio.current_time() - before < 5


async def test_a_cancelled_caller_leaves_no_container(containers: Containers) -> None:
    before = anyio.current_time()
    with anyio.CancelScope() as scope:
        async with containers.run(stop_timeout_s=20.0):
            scope.cancel()
            await anyio.sleep_forever()
    assert anyio.current_time() - before < 10
    assert containers.names() == []


async def test_a_healthcheck_of_the_image_is_told(containers: Containers) -> None:
    async with containers.run(image="watched:1") as running:
        assert await running.health() == "starting"
        with anyio.fail_after(15):
            while await running.health() == "starting":  # noqa: ASYNC110  # nor does an engine
                await anyio.sleep(0.1)
        assert await running.health() == "healthy"


async def test_what_a_container_uses_is_counted(containers: Containers) -> None:
    async with containers.talk() as (running, client):
        before = await running.usage()
        await use(client, "spin", 3_000_000)
        await use(client, "eat", 30)
        after = await running.usage()

    assert after.cpu_s > before.cpu_s
    assert after.memory.pss - before.memory.pss > 20 * 2**20
    assert (after.processes, after.received) == (1, None)


async def test_what_a_container_uses_is_known_from_its_engine_where_its_processes_can_not_be_seen(
    containers: Containers,
) -> None:
    async with containers.talk() as (_, client), connect(containers.environ) as engine:
        await use(client, "eat", 30)
        counted = await engine.usage(containers.names()[0])

    assert counted.cpu_s > 0
    assert counted.memory.pss > 30 * 2**20
    assert (counted.processes, counted.received) == (1, None)


async def test_no_limit_of_files_and_processes_can_be_exceeded(containers: Containers) -> None:
    limits = Limits(open_files=40, processes=8, file_size=40960)
    async with containers.talk(limits=limits) as (running, client):
        assert 0 < int(await use(client, "open_files", 100)) < 40
        assert 0 < int(await use(client, "write", 100_000)) <= 40960
        assert 0 < int(await use(client, "fork", 30)) < 8
        assert running.enforced == dict.fromkeys(("open_files", "processes", "file_size"), "docker")


async def test_a_container_that_takes_more_memory_than_it_may_is_killed_and_that_is_told(
    containers: Containers,
) -> None:
    async with containers.talk(limits=Limits(memory=64 * 2**20)) as (running, client):
        assert running.enforced == {"memory": "docker"}
        await use_up(client, "eat", 500)
        with anyio.fail_after(20):
            await running.wait()
        assert running.ending() == "killed for memory (it may use 64 MB)"


async def test_half_a_processor_is_all_a_container_gets_of_it(containers: Containers) -> None:
    async with containers.talk(limits=Limits(cpu=0.2)) as (running, client):
        before, began = await running.usage(), anyio.current_time()
        await use(client, "spin", 2_500_000)
        after, took = await running.usage(), anyio.current_time() - began
    assert (after.cpu_s - before.cpu_s) / took < 0.4
