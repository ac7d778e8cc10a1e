"""What pressure is read from, in recorded files and on the machine the test runs on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service_manager.lifecycle.readings import Capacity, Meter, available_macos
from service_manager.policy.rules import Metric

pytestmark = pytest.mark.anyio

MEMORY = "MemTotal: 1000000 kB\nMemAvailable: 600000 kB\n"
STALLS = {
    "cpu": "some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=0\n",
    "memory": "some avg10=3.00 avg60=9.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0 avg300=0 total=0\n",
    "io": "some avg10=40.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=20.00 avg60=0 avg300=0 total=0\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "proc/meminfo", MEMORY)
    put(tmp_path, "proc/stat", "cpu  100 0 0 900 0 0 0 0 0 0\n")
    for name, text in STALLS.items():
        put(tmp_path, f"proc/pressure/{name}", text)
    return tmp_path


def put(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def clock(*times: float) -> Iterator[float]:
    return iter(times)


def meter(root: Path, *times: float) -> Meter:
    course = clock(*times)
    return Meter(lambda: next(course), root, "linux")


def version_2(root: Path, **files: str) -> None:
    put(root, "proc/self/cgroup", "0::/box\n")
    put(root, "proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    put(root, "sys/fs/cgroup/cgroup.controllers", "cpu memory")
    for name, text in files.items():
        put(root, f"sys/fs/cgroup/box/{name.replace('_', '.', 1)}", text)


async def test_memory_and_stalls_are_shares_of_one(root: Path) -> None:
    assert await meter(root, 1.0).read() == {
        Metric.MEMORY: pytest.approx(0.4),
        Metric.CPU_SOME: 0.125,
        Metric.MEMORY_SOME: 0.03,
        Metric.MEMORY_FULL: 0.01,
        Metric.IO_SOME: 0.4,
        Metric.IO_FULL: 0.2,
    }


async def test_processor_time_counts_from_one_reading_to_the_next(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_manager.monitor.machine.processors", lambda: 2)
    reading = meter(root, 10.0, 20.0, 30.0)
    assert Metric.CPU not in await reading.read()
    # 500 of 1,000 ticks (a hundredth of a second each) in 10 s, on two processors.
    put(root, "proc/stat", "cpu  600 0 0 1400 0 0 0 0 0 0\n")
    assert (await reading.read())[Metric.CPU] == pytest.approx(0.25)
    assert (await reading.read())[Metric.CPU] == 0.0


async def test_a_clock_that_stands_still_gives_no_processor_time(root: Path) -> None:
    reading = meter(root, 10.0, 10.0)
    await reading.read()
    assert Metric.CPU not in await reading.read()


async def test_in_a_container_its_own_memory_limit_counts(root: Path) -> None:
    version_2(
        root,
        memory_max="100000000",
        memory_current="95000000",
        memory_stat="anon 5\ninactive_file 5000000\n",
    )
    reading = meter(root, 1.0)
    assert (await reading.read())[Metric.MEMORY] == pytest.approx(0.9)
    assert reading.capacity().memory == 100_000_000


async def test_a_machine_that_is_fuller_than_the_container_counts(root: Path) -> None:
    version_2(root, memory_max="100000000", memory_current="10000000")
    assert (await meter(root, 1.0).read())[Metric.MEMORY] == pytest.approx(0.4)


async def test_a_quota_of_processor_time_counts_as_all_there_is(root: Path) -> None:
    version_2(root, cpu_max="50000 100000", cpu_stat="usage_usec 1000000\n")
    reading = meter(root, 10.0, 20.0)
    await reading.read()
    # 4 s in 10 s, of the 5 s the quota gives.
    version_2(root, cpu_max="50000 100000", cpu_stat="usage_usec 5000000\n")
    assert (await reading.read())[Metric.CPU] == pytest.approx(0.8)
    assert reading.capacity().processors == 0.5


async def test_stalls_of_a_limited_container_count_too(root: Path) -> None:
    version_2(root, memory_max="900000000", memory_pressure="full avg10=55.00 avg60=0 avg300=0 total=0\n")
    readings = await meter(root, 1.0).read()
    assert readings[Metric.MEMORY_FULL] == 0.55
    assert readings[Metric.MEMORY_SOME] == 0.03


async def test_limits_of_version_1_are_read_too(root: Path) -> None:
    put(root, "proc/self/cgroup", "4:memory:/box\n3:cpu:/box\n2:cpuacct:/box\n")
    put(
        root,
        "proc/self/mountinfo",
        "".join(
            f"3{n} 24 0:2{n} / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n"
            for n, name in enumerate(("memory", "cpu", "cpuacct"))
        ),
    )
    groups = root / "sys/fs/cgroup"
    put(groups, "memory/memory.limit_in_bytes", "9223372036854771712")
    put(groups, "memory/box/memory.limit_in_bytes", "200000000")
    put(groups, "memory/box/memory.usage_in_bytes", "150000000")
    put(groups, "memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 50000000\n")
    put(groups, "cpu/box/cpu.cfs_quota_us", "25000")
    put(groups, "cpu/box/cpu.cfs_period_us", "100000")
    put(groups, "cpuacct/box/cpuacct.usage", "1000000000")
    reading = meter(root, 10.0, 20.0)

    assert (await reading.read())[Metric.MEMORY] == pytest.approx(0.5)
    put(groups, "cpuacct/box/cpuacct.usage", "2500000000")
    assert (await reading.read())[Metric.CPU] == pytest.approx(0.6)
    assert reading.capacity() == Capacity(200_000_000, 0.25)


async def test_a_machine_that_tells_nothing_gives_no_readings(tmp_path: Path) -> None:
    reading = meter(tmp_path, 1.0)
    assert await reading.read() == {}
    assert reading.capacity().memory == 0


def test_what_macos_prints_of_its_memory_is_understood() -> None:
    told = """\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10000.
Pages active:                            200000.
Pages inactive:                           20000.
Pages speculative:                         3000.
Pages wired down:                        100000.
Pages purgeable:                           1000.
"Translation faults":                 123456789.
"""
    assert available_macos(told) == 34_000 * 16384
    assert available_macos("") is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
async def test_this_machine_can_be_read() -> None:
    reading = Meter()
    await reading.read()
    readings = await reading.read()
    assert 0 < readings[Metric.MEMORY] < 1
    assert all(0 <= value <= 1 for value in readings.values())
    assert reading.capacity().memory > 0
    assert reading.capacity().processors > 0
