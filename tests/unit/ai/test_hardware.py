from __future__ import annotations

import pytest

from tool_router.ai.hardware import GB, ORDINARY, Hardware, Loaded, is_local, of_host, this_machine

HERE = Hardware(32 * GB, 8)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("", True),
        ("127.0.0.1:11434", True),
        ("http://localhost:11434", True),
        ("http://[::1]:11434/", True),
        ("0.0.0.0", True),
        ("http://127.8.0.1", True),
        ("http://gpu-box:11434", False),
        ("192.168.1.4", False),
        ("https://127.0.0.1.example.org", False),
        ("http://[::1:99999", False),
    ],
)
def test_whether_an_address_is_this_machine_is_read_from_it(url: str, local: bool) -> None:
    assert is_local(url) is local


def test_a_local_host_has_this_machines_means_and_another_one_is_assumed_to_be_ordinary() -> None:
    assert of_host("", [], HERE) == HERE
    elsewhere = of_host("http://gpu-box:11434", [], HERE)
    assert elsewhere == ORDINARY
    assert "assumed" in str(elsewhere)


def test_a_gpu_is_known_by_what_models_occupy_of_it() -> None:
    loaded = [Loaded("a", 3 * GB), Loaded("b", 2 * GB), Loaded("c")]
    assert of_host("", loaded, HERE).vram_bytes == 5 * GB
    assert str(of_host("", loaded, HERE)) == "32 GB, 8 cores, GPU with at least 5.0 GB"
    assert str(HERE) == "32 GB, 8 cores, no GPU known"


def test_this_machine_has_memory_and_cores() -> None:
    means = this_machine()
    assert means.ram_bytes > 100_000_000
    assert means.cores >= 1
    assert not means.assumed
