"""What is read out of a Docker engine's answers, and whose a container is."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from service_manager.drivers.docker_container import ending_of
from service_manager.drivers.docker_owner import Owner, gone, parse, this_process
from service_manager.drivers.docker_usage import usage_of
from service_manager.resources import Limits, MemoryUse, ResourceUse

US = Owner("here", "boot-2", "pid:[1]", 100, 5)

VERSION_1: dict[str, Any] = {
    "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
    "memory_stats": {"usage": 5000, "stats": {"total_inactive_file": 1000, "inactive_file": 7}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"op": "Read", "value": 10},
            {"op": "Write", "value": 20},
            {"op": "read", "value": 1},
            {"op": "Total", "value": 31},
        ]
    },
    "networks": {"eth0": {"rx_bytes": 3, "tx_bytes": 4}, "eth1": {"rx_bytes": 30, "tx_bytes": 40}},
    "pids_stats": {"current": 6},
}


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        (VERSION_1, ResourceUse(2.5, MemoryUse(4000), 11, 20, 33, 44, 6)),
        (
            # Version 2 names its memory otherwise; the machine's own network is not counted.
            {"memory_stats": {"usage": 5000, "stats": {"inactive_file": 1500}}, "pids_stats": {"current": 1}},
            ResourceUse(0.0, MemoryUse(3500), processes=1),
        ),
        # A container that has ended.
        (
            {"blkio_stats": {"io_service_bytes_recursive": None}, "memory_stats": {}, "pids_stats": {}},
            ResourceUse(0.0, MemoryUse(0), processes=0),
        ),
    ],
)
def test_statistics_are_read_as_engines_write_them(stats: dict[str, Any], expected: ResourceUse) -> None:
    assert usage_of(stats) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"ExitCode": 3}, "exit code 3"),
        ({"ExitCode": 0}, "exit code 0"),
        ({"ExitCode": 137}, "killed, exit code 137"),
        ({"ExitCode": 137, "OOMKilled": True}, "killed for memory (it may use 64 MB)"),
        ({"ExitCode": 127, "Error": "no such file"}, "exit code 127 (no such file)"),
        ({"Running": True, "ExitCode": 0}, "lost: its streams ended while it ran on"),
    ],
)
def test_how_a_container_ended_is_told_in_words(state: dict[str, Any], expected: str) -> None:
    assert ending_of(state, Limits(memory=64 * 2**20)) == expected


def test_an_owner_is_read_as_it_was_written() -> None:
    assert parse(US.label()) == US
    assert parse(this_process().label()) == this_process()


@pytest.mark.parametrize("label", ["", "a|b", "h|b|s|x|1", "h|b|s|1|2|3", "someone else"])
def test_labels_of_others_are_no_owners(label: str) -> None:
    assert parse(label) is None


def test_this_process_is_there() -> None:
    us = this_process()
    assert us.pid == os.getpid()
    assert not gone(us, us, running=True)


@pytest.mark.parametrize(
    ("changes", "running", "expected"),
    [
        # Its number was given to another process since.
        ({"started": 1}, True, True),
        ({"pid": 2**22 + 1}, True, True),
        ({"pid": 2**22 + 1, "host": "elsewhere"}, False, False),
        # Numbers of another namespace mean nothing here.
        ({"pid": 2**22 + 1, "space": "pid:[2]"}, False, False),
        ({"boot": "before"}, False, True),
        # It runs: then its machine is another one of the same name.
        ({"boot": "before"}, True, False),
    ],
)
@pytest.mark.skipif(not this_process().started, reason="start times are known on Linux only")
def test_an_owner_is_gone_only_when_that_is_known(
    changes: dict[str, Any], running: bool, expected: bool
) -> None:
    us = this_process()
    assert gone(replace(us, **changes), us, running=running) is expected
