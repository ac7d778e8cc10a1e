"""Planning and applying changes on real files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tool_router.errors import InstallError
from tool_router.install import files
from tool_router.install.change import Change, plan_install, plan_undo
from tool_router.install.clients import Client, Location
from tool_router.install.launch import is_own, own_command

ENTRY: dict[str, Any] = {"command": "/opt/venv/bin/tool-router", "args": []}
OTHERS = '{\n    "theme": "dark",\n    "mcpServers": {\n        "git": {"command": "git-mcp"}\n    }\n}\n'


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location(tmp_path / "client" / "config.json", ("mcpServers",), comments=False)


def given(location: Location, text: str, mode: int = 0o644) -> Path:
    location.file.parent.mkdir(parents=True, exist_ok=True)
    location.file.write_bytes(text.encode())
    location.file.chmod(mode)
    return location.file


def install(location: Location, entry: dict[str, Any] | None = None, name: str = "tool-router") -> Change:
    change = plan_install(Client.CLAUDE_DESKTOP, location, name, entry or ENTRY)
    change.apply()
    return change


def undo(location: Location, name: str = "tool-router") -> Change:
    change = plan_undo(Client.CLAUDE_DESKTOP, location, name)
    change.apply()
    return change


def listing(location: Location) -> list[str]:
    return sorted(path.name for path in location.file.parent.iterdir())


def test_a_missing_file_is_made_for_its_owner_alone(location: Location) -> None:
    assert install(location).action == "added"
    assert json.loads(location.file.read_text()) == {"mcpServers": {"tool-router": ENTRY}}
    assert location.file.stat().st_mode & 0o777 == 0o600
    assert listing(location) == ["config.json"]


def test_other_entries_and_settings_stay_byte_for_byte(location: Location) -> None:
    file = given(location, OTHERS)
    install(location)
    text = file.read_text()
    assert text.startswith(OTHERS[: OTHERS.index("}\n    }")])
    assert json.loads(text)["mcpServers"] == {"git": {"command": "git-mcp"}, "tool-router": ENTRY}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_file_and_its_backup_have_the_mode_the_file_had(location: Location, mode: int) -> None:
    given(location, OTHERS, mode)
    backup = plan_install(Client.CURSOR, location, "tool-router", ENTRY).apply()
    assert backup is not None
    assert backup.read_text() == OTHERS
    assert [path.stat().st_mode & 0o777 for path in (location.file, backup)] == [mode, mode]


def test_the_second_run_changes_nothing(location: Location) -> None:
    given(location, OTHERS)
    install(location)
    before, there = location.file.stat(), listing(location)
    change = install(location)
    assert (change.action, change.changes, change.diff()) == ("unchanged", False, "")
    assert location.file.stat().st_mtime_ns == before.st_mtime_ns
    assert listing(location) == there


def test_planning_touches_nothing(location: Location) -> None:
    given(location, OTHERS)
    change = plan_install(Client.CURSOR, location, "tool-router", ENTRY)
    assert '+        "tool-router": {' in change.diff()
    assert location.file.read_text() == OTHERS
    assert listing(location) == ["config.json"]


def test_a_symbolic_link_stays_one(location: Location, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text(OTHERS)
    location.file.parent.mkdir()
    location.file.symlink_to(real)
    install(location)
    assert location.file.is_symlink()
    assert "tool-router" in real.read_text()
    undo(location)
    assert real.read_text() == OTHERS


def test_an_own_entry_is_brought_up_to_date_and_keeps_what_a_person_added(location: Location) -> None:
    mine = {
        "command": "/old/bin/tool-router",
        "args": ["serve"],
        "disabled": True,
        "env": {"A": "1", "B": "2"},
    }
    given(location, json.dumps({"mcpServers": {"tool-router": mine}}))
    change = install(location, {**ENTRY, "env": {"B": "3", "C": "4"}})
    assert change.action == "updated"
    assert json.loads(location.file.read_text())["mcpServers"]["tool-router"] == {
        **ENTRY,
        "disabled": True,
        "env": {"A": "1", "B": "3", "C": "4"},
    }


def test_a_strangers_entry_of_the_name_is_replaced_whole_and_comes_back(location: Location) -> None:
    text = '{"mcpServers": {"tool-router": {"command": "docker", "env": {"A": "1"}}}}'
    given(location, text)
    assert install(location).action == "replaced"
    assert json.loads(location.file.read_text())["mcpServers"]["tool-router"] == ENTRY
    install(location, {**ENTRY, "args": ["serve"]})
    assert undo(location).action == "restored"
    assert json.loads(location.file.read_text()) == json.loads(text)


@pytest.mark.parametrize(
    "text", [OTHERS, "{}", '{"mcpServers": {}}', "", '{"a":1}', OTHERS.replace("\n", "\r\n")]
)
def test_undo_gives_the_file_back_byte_for_byte(location: Location, text: str) -> None:
    given(location, text)
    install(location)
    assert undo(location).action == "removed"
    assert location.file.read_bytes() == text.encode()
    assert undo(location).action == "nothing"


def test_undo_deletes_a_file_that_held_nothing_else(location: Location) -> None:
    install(location)
    undo(location)
    assert not location.file.exists()


def test_undo_leaves_what_was_changed_since(location: Location) -> None:
    given(location, OTHERS)
    install(location)
    location.file.write_text(location.file.read_text().replace("dark", "light"))
    undo(location)
    assert location.file.read_text() == OTHERS.replace("dark", "light")


def test_undo_after_two_installs_goes_back_before_the_first(location: Location) -> None:
    given(location, OTHERS)
    install(location)
    install(location, {**ENTRY, "args": ["serve"]})
    undo(location)
    assert location.file.read_text() == OTHERS


def test_undo_leaves_an_entry_alone_that_starts_something_else(location: Location) -> None:
    given(location, OTHERS)
    with pytest.raises(InstallError, match="something else"):
        undo(location, "git")
    assert location.file.read_text() == OTHERS


def test_undo_without_a_file_has_nothing_to_do(location: Location) -> None:
    assert undo(location).action == "nothing"
    assert not location.file.parent.exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"mcpServers": {',
        "{'a': 1}",
        "[]",
        '{"mcpServers": []}',
        "{// no\n}",
        "<html>",
        '{"mcpServers": null}',
    ],
)
def test_a_broken_file_is_left_alone_and_the_entry_shown(location: Location, text: str) -> None:
    given(location, text)
    with pytest.raises(InstallError) as caught:
        install(location)
    assert str(location.file) in caught.value.tried
    assert '"command": "/opt/venv/bin/tool-router"' in caught.value.next_step
    assert location.file.read_text() == text
    assert listing(location) == ["config.json"]


def test_a_file_that_is_not_utf8_is_left_alone(location: Location) -> None:
    file = given(location, "")
    file.write_bytes('{"ä": 1}'.encode("utf-16"))
    with pytest.raises(InstallError, match="not UTF-8"):
        install(location)
    assert file.read_bytes() == '{"ä": 1}'.encode("utf-16")


def test_a_file_that_changes_between_plan_and_application_is_left_alone(location: Location) -> None:
    given(location, OTHERS)
    change = plan_install(Client.CLAUDE_CODE, location, "tool-router", ENTRY)
    location.file.write_text("{}")
    with pytest.raises(InstallError, match="changed while"):
        change.apply()
    assert location.file.read_text() == "{}"
    assert listing(location) == ["config.json"]


def test_a_directory_in_the_files_place_is_a_clear_error(location: Location) -> None:
    location.file.mkdir(parents=True)
    with pytest.raises(InstallError, match="can't be read"):
        install(location)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_a_clear_error(location: Location) -> None:
    given(location, OTHERS)
    location.file.parent.chmod(0o500)
    try:
        with pytest.raises(InstallError, match="can't be written"):
            install(location)
        assert location.file.read_text() == OTHERS
    finally:
        location.file.parent.chmod(0o700)


def test_a_path_through_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(InstallError):
        files.replace(tmp_path / "plain" / "config.json", None, "{}")


def test_the_diff_hides_the_values_of_other_peoples_secrets(location: Location) -> None:
    text = '{\n  "mcpServers": {\n    "git": {\n      "API_KEY": "sk-\\"123",\n      "X": "y"}\n  }\n}'
    given(location, text)
    diff = plan_install(
        Client.CURSOR, location, "tool-router", {**ENTRY, "env": {"GATEWAY_TOKEN": "t0p"}}
    ).diff()
    assert "123" not in diff
    assert "t0p" not in diff
    assert '"GATEWAY_TOKEN": "***"' in diff


def test_a_client_with_comments_gets_its_entry_without_losing_them(tmp_path: Path) -> None:
    location = Location(tmp_path / "mcp.json", ("servers",), comments=True)
    text = '// mine\n{\n  "servers": {\n    // none yet\n  },\n}\n'
    location.file.write_text(text)
    change = plan_install(Client.VSCODE, location, "tool-router", {"type": "stdio", **ENTRY})
    change.apply()
    written = location.file.read_text()
    assert "// mine" in written
    assert "// none yet" in written
    plan_undo(Client.VSCODE, location, "tool-router").apply()
    assert location.file.read_text() == text


def test_the_own_command_is_the_console_script_where_there_is_one(tmp_path: Path) -> None:
    assert own_command(tmp_path, tmp_path / "python") == (str(tmp_path / "python"), "-m", "tool_router")
    script = tmp_path / "tool-router"
    script.write_text("#!/bin/sh\n")
    assert own_command(tmp_path, tmp_path / "python")[1:] == ("-m", "tool_router")
    script.chmod(0o755)
    assert own_command(tmp_path) == (str(script),)


@pytest.mark.parametrize(
    ("entry", "own"),
    [
        ({"command": "/opt/bin/tool-router", "args": ["--config", "x"]}, True),
        ({"command": "C:\\venv\\Scripts\\tool-router.exe"}, True),
        ({"command": "/usr/bin/python3", "args": ["-m", "tool_router"]}, True),
        ({"command": "/usr/bin/python3", "args": ["-m", "other"]}, False),
        ({"command": "docker", "args": ["run", "tool-router"]}, False),
        ({"command": 7}, False),
        ({"url": "http://127.0.0.1"}, False),
        (None, False),
        ("tool-router", False),
    ],
)
def test_an_entry_is_recognised_by_what_it_starts(entry: object, own: bool) -> None:
    assert is_own(entry) is own
