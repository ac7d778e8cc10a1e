"""The log of a daemon: a file that stays small, whatever is written to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service_manager.daemon.own_log import last_words

LINES = """
import sys
from pathlib import Path
from service_manager.daemon.own_log import OwnLog
log = OwnLog(Path(sys.argv[1]), most_bytes=1000)
for number in range(int(sys.argv[2])):
    log.write(f"line {number:04}\\n")
    log.flush()
sys.stdout.write("said at the end\\n")
"""


def write_lines(path: Path, count: int) -> None:
    """Let a process whose output is the file log so many lines of ten bytes."""
    with path.open("ab") as file:
        subprocess.run(
            [sys.executable, "-c", LINES, str(path), str(count)], check=True, stdout=file, stderr=file
        )


def test_a_full_log_is_begun_anew_and_the_one_before_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    write_lines(path, 1000)
    now = path.read_text().splitlines()
    before = (tmp_path / "daemon.log.1").read_text().splitlines()
    assert now[-1] == "said at the end"
    kept = [*before, *now[:-1]]
    assert kept == [f"line {number:04}" for number in range(1000 - len(kept), 1000)]
    assert len(before) == 101
    assert path.stat().st_size < 1100
    assert sorted(file.name for file in tmp_path.iterdir()) == ["daemon.log", "daemon.log.1"]


def test_a_log_with_room_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    write_lines(path, 2)
    write_lines(path, 1)
    assert path.read_text().splitlines() == [
        "line 0000",
        "line 0001",
        "said at the end",
        "line 0000",
        "said at the end",
    ]


@pytest.mark.parametrize(("text", "words"), [("", ""), ("a\nb\n", "a\nb"), ("x" * 50 + "end\n", "xend")])
def test_the_end_of_a_log_is_its_last_words(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "daemon.log"
    path.write_text(text)
    assert last_words(path, 5) == words


def test_a_log_that_is_not_there_has_no_last_words(tmp_path: Path) -> None:
    assert last_words(tmp_path / "daemon.log", 5) == ""
