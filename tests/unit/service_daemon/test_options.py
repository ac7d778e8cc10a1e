"""What `serve` may be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_manager.daemon.listen import Listening
from service_manager.daemon.options import idle_exit_of, listening_of
from service_manager.errors import DaemonError


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600.0), ("90", 90.0), ("never", None), ("1h30m", 5400.0)]
)
def test_how_long_it_stays_unused(text: str, seconds: float | None) -> None:
    assert idle_exit_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5", "nan", "inf"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(DaemonError, match="--idle-exit"):
        idle_exit_of(text)


def test_where_it_listens() -> None:
    assert listening_of(None, None, None, allow_remote=False) is None
    assert listening_of(None, 7000, None, allow_remote=False) == Listening(None, "127.0.0.1", 7000)
    assert listening_of("::1", None, None, allow_remote=True) == Listening(None, "::1", 0, allow_remote=True)
    assert listening_of(None, None, Path("/run/x.sock"), allow_remote=False) == Listening(Path("/run/x.sock"))
    with pytest.raises(DaemonError, match="exclude"):
        listening_of(None, 1, Path("x"), allow_remote=False)
