"""The secret of a router's sessions outlives it, and no two routers that run at once have the same."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tool_router.gateway.session_seed import SLOTS, session_seed

HOLD = """
import sys
from pathlib import Path
from tool_router.gateway.session_seed import session_seed
with session_seed(Path(sys.argv[1])) as seed:
    print(seed.hex(), flush=True)
    sys.stdin.read()
"""


def test_the_next_router_has_the_secret_of_the_one_before(tmp_path: Path) -> None:
    with session_seed(tmp_path / "sessions") as first:
        assert len(first) == 32
    with session_seed(tmp_path / "sessions") as second:
        assert second == first


def test_routers_at_once_have_secrets_of_their_own_even_beyond_the_slots(tmp_path: Path) -> None:
    with ExitStack() as stack:
        seeds = [stack.enter_context(session_seed(tmp_path)) for _ in range(SLOTS + 2)]
    assert len(set(seeds)) == SLOTS + 2
    with session_seed(tmp_path) as again:
        assert again == seeds[0]


def test_a_killed_router_leaves_its_slot(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        seed = bytes.fromhex(child.stdout.readline())
        with session_seed(tmp_path) as beside:
            assert beside != seed
        child.kill()
    with session_seed(tmp_path) as after:
        assert after == seed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_without_a_place_to_keep_it_the_secret_is_drawn(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with session_seed(tmp_path / "x") as one, session_seed(tmp_path / "x") as other:
        assert one != other


def test_a_file_in_the_way_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with session_seed(tmp_path / "x") as seed:
        assert len(seed) == 32
