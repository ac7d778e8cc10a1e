"""What the swap is on and what it takes of the memory, from texts as the kernel writes them."""

from __future__ import annotations

import pytest

from service_manager.linux.capabilities import SwapKind, kind
from service_manager.linux.swap import compression, parsed

HEAD = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
DISK = "/swap\\040file                           file\t\t1048572\t\t55804\t\t-2\n"
ZRAM = "/dev/zram0                              partition\t524284\t\t52240\t\t100\n"
MM_STAT = " 53493760 21397504 23068672        0 25000000      120        0        0    24076\n"


def test_the_texts_of_the_kernel_are_read() -> None:
    disk, zram = parsed(HEAD + DISK + ZRAM, {"zram0": MM_STAT})
    assert (disk.name, disk.size, disk.used, disk.zram) == ("/swap file", 1048572 * 1024, 55804 * 1024, False)
    assert (zram.memory, zram.stored, zram.zram) == (23068672, 53493760, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", SwapKind.NONE),
        (HEAD, SwapKind.NONE),
        (HEAD + DISK, SwapKind.DISK),
        (HEAD + ZRAM, SwapKind.ZRAM),
        (HEAD + DISK + ZRAM, SwapKind.MIXED),
    ],
)
def test_the_kind_of_swap_is_that_of_all_areas(text: str, expected: SwapKind) -> None:
    assert kind(parsed(text, {})) is expected


def test_zram_takes_what_its_whole_pool_takes_for_each_byte_it_stores() -> None:
    areas = parsed(HEAD + ZRAM, {"zram0": MM_STAT})
    assert compression(areas) == pytest.approx(23068672 / 53493760)


def test_a_disk_takes_no_memory_and_halves_what_a_mixed_swap_takes() -> None:
    assert compression(parsed(HEAD + DISK, {})) == 0.0
    even = ZRAM.replace("52240", "55804")
    mixed = compression(parsed(HEAD + DISK + even, {"zram0": MM_STAT}))
    assert mixed == pytest.approx(23068672 / 53493760 / 2)


def test_a_compressed_cache_before_the_disk_is_counted() -> None:
    assert compression(parsed(HEAD + DISK, {}), zswap=55804 * 256) == pytest.approx(0.25)


def test_empty_swap_takes_nothing() -> None:
    empty = parsed(HEAD + ZRAM.replace("52240", "0"), {"zram0": "0 73 12288 0 0 0 0 0 0\n"})
    assert compression(empty) == 0.0
