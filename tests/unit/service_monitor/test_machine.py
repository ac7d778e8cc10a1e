"""The machine's own figures, from recorded files of a Linux and from the machine the test runs on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from service_manager.monitor.machine import MachineUse, load, read_machine

STAT = "cpu  1000 10 500 90000 3000 40 50 60 70 80\ncpu0 1000 10 500 90000 3000 40 50 60 70 80\nintr 5\n"
MEMORY = (
    "MemTotal:  4000000 kB\nMemAvailable: 1000000 kB\nSwapTotal: 2000 kB\nSwapFree: 500 kB\nHugePages: 3\n"
)
DISKS = """\
   7       0 loop0 9 0 900 0 9 0 900 0 0 0 0 0 0 0 0 0 0
 254       0 vda 10 0 2000 0 20 0 4000 0 0 0 0 0 0 0 0 0 0
 254       1 vda1 10 0 2000 0 20 0 4000 0 0 0 0 0 0 0 0 0 0
"""
NETWORK = """\
Inter-|   Receive                         |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls
    lo: 7777 1 0 0 0 0 0 0 7777 1 0 0 0 0 0 0
  eth0: 1000 1 0 0 0 0 0 0 300 1 0 0 0 0 0 0
 wlan0:50 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "sys/block/vda/device").mkdir(parents=True)
    (tmp_path / "sys/block/loop0").mkdir()
    for name, text in {"stat": STAT, "meminfo": MEMORY, "diskstats": DISKS, "net/dev": NETWORK}.items():
        (tmp_path / "proc" / name).write_text(text)
    return tmp_path


def test_counters_are_read_once_each_and_only_of_what_is_real(root: Path) -> None:
    found = read_machine(7.0, root)

    busy = 1000 + 10 + 500 + 40 + 50 + 60
    assert found.at == 7.0
    assert found.busy_s == busy / os.sysconf("SC_CLK_TCK")
    assert (found.memory_total, found.memory_available) == (4_096_000_000, 1_024_000_000)
    assert (found.disk_read, found.disk_written) == (2000 * 512, 4000 * 512)
    assert (found.received, found.sent) == (1050, 320)


def test_a_machine_that_tells_nothing_has_no_figures(tmp_path: Path) -> None:
    found = load(read_machine(1.0, tmp_path), read_machine(2.0, tmp_path))

    assert (found.cpu_percent, found.memory_used, found.disk_read, found.received) == (None,) * 4


def test_load_is_what_grew_and_what_is_held() -> None:
    before = MachineUse(10.0, 2, 100.0, 1000, 400, 100, 50, 0, 0, 500, 0)
    after = MachineUse(20.0, 2, 110.0, 1000, 300, 100, 40, 1000, 0, 400, 100)
    found = load(before, after)

    assert (found.cpu_percent, found.memory_used, found.swap_used) == (50.0, 700, 60)
    # A counter that fell (an interface was taken away) tells nothing.
    assert (found.disk_read, found.received, found.sent) == (100.0, None, 10.0)


@pytest.mark.parametrize("later", [10.0, 5.0])
def test_a_clock_that_stands_still_or_goes_back_gives_no_rates(later: float) -> None:
    reading = MachineUse(10.0, 2, 100.0, disk_read=5)
    found = load(reading, MachineUse(later, 2, 200.0, disk_read=500))

    assert (found.cpu_percent, found.disk_read) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_this_machine_is_read() -> None:
    found = read_machine(1.0)

    assert found.busy_s is not None
    assert found.busy_s > 0
    assert 0 < found.memory_available < found.memory_total
