"""The script that makes swap files: it undoes what it began, and removes nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.sleep.conftest import SWAPFILE

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="swap files are made on Linux")

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make swap")


def run(*argv: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in (SWAPFILE, *argv)], capture_output=True, text=True, check=False
    )


@root
def test_a_file_system_that_can_hold_none_is_named_and_nothing_is_left_behind() -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir():
        pytest.skip("there is no /dev/shm")
    file = memory / f"tool-router-test-{os.getpid()}"
    tried = run("make", file, "1M")
    assert tried.returncode == 1
    assert "(tmpfs) can't hold a swap file" in tried.stderr
    assert not file.exists()


@root
def test_a_file_that_is_there_is_neither_overwritten_nor_removed(tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("kept")
    assert "is there already" in run("make", file, "1M").stderr
    assert "is not a swap file" in run("remove", file).stderr
    assert file.read_text() == "kept"


@pytest.mark.parametrize("argv", [(), ("make",), ("make", "x"), ("remove",), ("mend", "x")])
def test_wrong_words_are_answered_with_the_right_ones(argv: tuple[str, ...]) -> None:
    tried = run(*argv)
    assert tried.returncode == 1
    assert tried.stderr.startswith("swapfile: ")
    assert not tried.stdout
