"""Where a daemon's files are, and that there is one daemon for each services.yml."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service_manager.daemon.address import Address, make_token, read_address, write_address
from service_manager.daemon.lock import AlreadyRuns, held
from service_manager.daemon.place import MOST_PATH_BYTES, Place, place_of
from service_manager.errors import DaemonError


def test_each_services_file_has_its_own_place_and_a_link_to_it_the_same(tmp_path: Path) -> None:
    environ = {"TOOL_ROUTER_HOME": str(tmp_path)}
    one, other, link = tmp_path / "services.yml", tmp_path / "b" / "services.yml", tmp_path / "link.yml"
    one.touch()
    link.symlink_to(one)
    assert place_of(one, environ) == place_of(link, environ)
    assert place_of(one, environ) != place_of(other, environ)


def test_a_place_that_is_too_deep_for_a_socket_is_a_temporary_one(tmp_path: Path) -> None:
    environ = {"TOOL_ROUTER_HOME": str(tmp_path / ("d" * MOST_PATH_BYTES))}
    place = place_of(tmp_path / "services.yml", environ)
    assert len(os.fsencode(place.socket)) <= MOST_PATH_BYTES
    assert place == place_of(tmp_path / "services.yml", environ)
    assert place.directory != place_of(tmp_path / "services.yml", {"TOOL_ROUTER_HOME": "/x"}).directory


def test_only_its_user_may_enter(tmp_path: Path) -> None:
    place = Place(tmp_path / "daemons", "k")
    place.make()
    assert stat.S_IMODE(place.directory.stat().st_mode) == 0o700
    place.directory.chmod(0o755)
    with pytest.raises(DaemonError, match="Other users"):
        place.make()


def test_a_place_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DaemonError, match="can't be made"):
        Place(tmp_path / "file" / "daemons", "k").make()


def test_the_token_stays_from_run_to_run_and_is_made_anew_when_others_could_read_it(tmp_path: Path) -> None:
    place = Place(tmp_path, "k")
    token = make_token(place)
    assert len(token) >= 32
    assert stat.S_IMODE(place.token.stat().st_mode) == 0o600
    assert make_token(place) == token
    place.token.chmod(0o644)
    assert make_token(place) != token
    assert stat.S_IMODE(place.token.stat().st_mode) == 0o600


def test_an_address_is_read_as_it_was_written(tmp_path: Path) -> None:
    place = Place(tmp_path, "k")
    address = Address("http://127.0.0.1:9", "", make_token(place), 17, "abc")
    write_address(place, address)
    assert read_address(place) == address
    assert address.token not in place.address.read_text()
    assert address.token not in repr(address)
    assert address.endpoint("time") == "http://127.0.0.1:9/services/time/mcp"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"url": "x", "socket": "", "pid": "no"})])
def test_an_address_that_is_not_whole_is_none(tmp_path: Path, text: str) -> None:
    place = Place(tmp_path, "k")
    make_token(place)
    place.address.write_text(text)
    assert read_address(place) is None


def test_the_lock_is_held_by_one_process_and_free_once_that_is_killed(tmp_path: Path) -> None:
    place = Place(tmp_path, "k")
    make_token(place)
    write_address(place, Address("http://localhost", "/run/x.sock", "", 4711, "abc"))
    code = (
        "import sys; from pathlib import Path; from service_manager.daemon.lock import held;"
        "from service_manager.daemon.place import Place\n"
        f"with held(Place(Path({str(tmp_path)!r}), 'k')): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRuns, match=r"process 4711, /run/x\.sock"), held(place):
            pass
        other.kill()
    with held(place):
        pass
