"""The stream of an attached container, taken apart however it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_manager.drivers.docker_frames import Channel, Demultiplexer, NotFrames

FRAMES = st.lists(st.tuples(st.sampled_from(Channel), st.binary(max_size=70)), max_size=8)


def frame(channel: int, data: bytes) -> bytes:
    return bytes((channel, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


def merged(parts: list[tuple[Channel, bytes]]) -> dict[Channel, bytes]:
    found = dict.fromkeys(Channel, b"")
    for channel, data in parts:
        found[channel] += data
    return found


@given(FRAMES, st.lists(st.integers(1, 20), min_size=1))
def test_every_byte_arrives_in_order_on_its_own_channel_wherever_the_stream_is_cut(
    frames: list[tuple[Channel, bytes]], sizes: list[int]
) -> None:
    stream = b"".join(frame(channel, data) for channel, data in frames)
    demultiplexer, arrived, at, turn = Demultiplexer(), list[tuple[Channel, bytes]](), 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        arrived += demultiplexer.feed(stream[at : at + size])
        at, turn = at + size, turn + 1

    assert merged(arrived) == merged(frames)
    assert all(data for _, data in arrived)


def test_data_is_passed_on_before_its_frame_is_complete() -> None:
    assert list(Demultiplexer().feed(frame(1, b"half of it")[:12])) == [(Channel.STDOUT, b"half")]


@pytest.mark.parametrize("stream", [b"hello world", b"\x01\x00\x01\x00\x00\x00\x00\x01x", b"\x04" + bytes(7)])
def test_what_is_not_in_frames_is_said_to_be_none(stream: bytes) -> None:
    with pytest.raises(NotFrames):
        list(Demultiplexer().feed(stream))
