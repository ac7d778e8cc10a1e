"""The proxy does what its toxics say, no more and no less."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import pytest

from tests.support.toxics import (
    Bandwidth,
    Blackhole,
    Direction,
    Jitter,
    Latency,
    LimitData,
    Place,
    Reset,
    Slicer,
    SlowClose,
    Toxic,
    ToxicProxy,
    toxic_proxy,
)
from tests.support.toxics.course import Course

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
BODY = bytes(range(256)) * 20
SLACK_S = 0.25
"""What a busy machine may add."""


@asynccontextmanager
async def line(*toxics: Toxic) -> AsyncGenerator[tuple[ToxicProxy, anyio.abc.SocketStream]]:
    """A connection through a proxy to a server that answers each request with `HEAD` and `BODY`."""

    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            async for _ in stream:
                await stream.send(HEAD + BODY)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks, toxic_proxy(port) as proxy:
        tasks.start_soon(listener.serve, answer)
        proxy.poison(*toxics)
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            yield proxy, stream
        tasks.cancel_scope.cancel()


async def answered(stream: anyio.abc.SocketStream, within_s: float = 5.0) -> tuple[bytes, float, int]:
    """What comes back for one request, in how many seconds, in how many reads."""
    got, reads, started = b"", 0, anyio.current_time()
    await stream.send(b"GET / HTTP/1.1\r\n\r\n")
    with anyio.move_on_after(within_s):
        while len(got) < len(HEAD + BODY):
            try:
                got += await stream.receive()
            except anyio.EndOfStream:
                break
            reads += 1
    return got, anyio.current_time() - started, reads


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_healthy_line_passes_everything() -> None:
    async with line() as (_, stream):
        for _ in range(3):
            assert (await answered(stream))[0] == HEAD + BODY


@pytest.mark.parametrize("place", [Place.HEADERS, Place.BODY, Place.MID_STREAM])
async def test_latency_holds_each_message_once(place: Place) -> None:
    async with line(Latency(delay_s=0.1, place=place)) as (_, stream):
        for _ in range(2):
            got, took_s, _ = await answered(stream)
            assert got == HEAD + BODY
            assert 0.1 <= took_s < 0.1 + SLACK_S


@pytest.mark.parametrize(
    ("place", "before"), [(Place.HEADERS, 0), (Place.BODY, len(HEAD)), (Place.MID_STREAM, len(HEAD) + 700)]
)
async def test_a_blackhole_passes_what_comes_before_it_and_its_line_stays_dead(
    place: Place, before: int
) -> None:
    async with line(Blackhole(place=place, after=700)) as (proxy, stream):
        assert (await answered(stream, 0.1))[0] == (HEAD + BODY)[:before]
        proxy.heal()
        assert (await answered(stream, 0.1))[0] == b""
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as another:
            assert (await answered(another))[0] == HEAD + BODY


async def test_a_blackhole_at_connecting_lets_nobody_in_until_it_is_healed() -> None:
    async with line() as (proxy, _):
        proxy.poison(Blackhole(place=Place.CONNECT))
        with anyio.move_on_after(0.1) as waited:
            await anyio.connect_tcp("127.0.0.1", proxy.port)
        assert waited.cancelled_caught
        proxy.heal()
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
            assert (await answered(stream))[0] == HEAD + BODY


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_reset_is_one_and_no_orderly_end(direction: Direction) -> None:
    async with line(Reset(direction=direction)) as (_, stream):
        await stream.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await stream.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize("count", [0, 1, 100])
async def test_limited_data_ends_in_order_after_its_count(count: int) -> None:
    async with line(LimitData(count=count, place=Place.BODY)) as (_, stream):
        got, _, _ = await answered(stream)
        assert got == HEAD + BODY[:count]


async def test_a_slow_close_tells_the_end_late() -> None:
    async with line(SlowClose(delay_s=0.1), LimitData(count=5)) as (_, stream):
        got, took_s, _ = await answered(stream)
        assert got == HEAD[:5]
        assert 0.1 <= took_s < 0.1 + SLACK_S


async def test_bandwidth_is_what_passes_in_a_second() -> None:
    async with line(Bandwidth(bytes_per_s=len(BODY) * 4, place=Place.BODY)) as (_, stream):
        got, took_s, reads = await answered(stream)
        assert got == HEAD + BODY
        assert 0.2 <= took_s < 0.25 + SLACK_S
        assert reads > 5


async def test_slices_are_as_large_as_they_say() -> None:
    sizes: list[int] = []
    async with line(Slicer(size=100)) as (_, stream):
        await stream.send(b"GET / HTTP/1.1\r\n\r\n")
        while sum(sizes) < len(HEAD + BODY):
            sizes.append(len(await stream.receive(100)))
    assert max(sizes) == 100


async def test_jitter_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    async def took_s(seed: int) -> float:
        async with line(Jitter(most_s=1.0, seed=seed)) as (_, stream):
            return (await answered(stream))[1]

    # The first draws of these seeds, in seconds: 0.134 and 0.956.
    assert 0.134 <= await took_s(1) < 0.134 + SLACK_S
    assert 0.956 <= await took_s(2) < 0.956 + SLACK_S


async def test_a_toxic_of_one_direction_leaves_the_other_alone() -> None:
    async with line(LimitData(count=0, place=Place.BODY, direction=Direction.UPSTREAM)) as (_, stream):
        assert (await answered(stream))[0] == HEAD + BODY


async def test_severing_ends_lines_and_refuses_no_new_one() -> None:
    async with line() as (proxy, stream):
        await answered(stream)
        proxy.sever()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as another:
            assert (await answered(another))[0] == HEAD + BODY


async def test_a_server_that_does_not_run_ends_the_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with toxic_proxy(port) as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as stream:
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()


@pytest.mark.parametrize("cut", [1, 7, 20, 21, 500])
@pytest.mark.parametrize(
    ("place", "begins"), [(Place.HEADERS, 0), (Place.BODY, len(HEAD)), (Place.MID_STREAM, len(HEAD) + 50)]
)
def test_where_a_toxic_begins_does_not_depend_on_how_the_bytes_arrive(
    place: Place, begins: int, cut: int
) -> None:
    toxic = Reset(place=place, after=50)
    course, whole = Course(), HEAD + BODY[:300]
    before = b""
    for chunk in (whole[start : start + cut] for start in range(0, len(whole), cut)):
        before += b"".join(piece for piece, toxics in course.pieces(chunk, [toxic]) if not toxics)
    assert before == whole[:begins]
