from __future__ import annotations

import json
from pathlib import Path

import pytest

from service_manager.config.lock import Lock, format_lock, load_lock, merged, read_lock, write_lock
from service_manager.errors import LockError
from service_manager.install.locking import difference
from service_manager.model import CommandSource, LockedService, LockedTool, PackageSource, ServiceSpec

TOOL = LockedTool(
    "add",
    title="Add",
    description="Adds numbers — all of them.",
    input_schema={"type": "object", "properties": {"b": {"type": "number"}, "a": {"type": "number"}}},
    annotations={"readOnlyHint": True},
)
LOCKED = LockedService("npm:calc@1.0.0", "sha512-abc", (TOOL, LockedTool("ping", input_schema=True)))
LOCK = Lock({"calc": LOCKED, "another": LockedService("pypi:another==2", "sha256:00")})


def spec(name: str, version: str) -> ServiceSpec:
    return ServiceSpec(name, PackageSource("npm", "calc", version))


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "services.lock.json"
    write_lock(path, LOCK)

    assert read_lock(path) == LOCK
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_file_is_sorted_and_keeps_the_order_of_properties() -> None:
    backwards = Lock(
        {
            "another": LOCK.services["another"],
            "calc": LockedService(LOCKED.pin, LOCKED.integrity, tuple(reversed(LOCKED.tools))),
        }
    )
    text = format_lock(LOCK)

    assert format_lock(backwards) == text
    assert list(json.loads(text)["services"]) == ["another", "calc"]
    assert text.index('"b": {') < text.index('"a": {')
    assert "—" in text
    assert text.endswith("}\n")


def test_an_entry_counts_for_its_pin_only() -> None:
    assert LOCK.for_spec(spec("calc", "1.0.0")) == LOCKED
    assert LOCK.for_spec(spec("calc", "1.0.1")) is None
    assert Lock().for_spec(spec("calc", "1.0.0")) is None


def test_the_same_package_under_another_name_is_locked_too() -> None:
    assert LOCK.for_spec(spec("my-calculator", "1.0.0")) == LOCKED


def test_what_is_no_package_is_never_locked() -> None:
    assert LOCK.for_spec(ServiceSpec("calc", CommandSource(("calc",)))) is None


def test_a_services_file_of_ones_own_has_the_shipped_lock_for_the_rest(tmp_path: Path) -> None:
    write_lock(tmp_path / "services.lock.json", LOCK)

    lock = load_lock(tmp_path / "services.yml")

    assert lock.services["calc"] == LOCKED
    assert lock.services["time"].tools
    assert load_lock(tmp_path / "nowhere" / "services.yml").services.keys() == lock.services.keys() - {
        "calc",
        "another",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": 2, "services": {}}',
        '{"format": 1, "services": []}',
        '{"format": 1, "services": {"a": {}}}',
        '{"format": 1, "services": {"a": {"pin": 1, "integrity": "", "tools": []}}}',
        '{"format": 1, "services": {"a": {"pin": "", "integrity": "", "tools": [{"title": ""}]}}}',
        '{"format": 1, "services": {"a": {"pin": "", "integrity": "", "tools": 3}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_lock_is_told_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "services.lock.json"
    path.write_text(text)

    with pytest.raises(LockError) as caught:
        read_lock(path)
    assert str(path) in caught.value.tried
    assert "service-manager lock" in caught.value.next_step


def test_a_missing_lock_is_told(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="does not exist"):
        read_lock(tmp_path / "services.lock.json")


def test_a_lock_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "services.lock.json"
    path.mkdir()

    with pytest.raises(LockError, match="can't be written"):
        write_lock(path, LOCK)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_fresh_entries_replace_old_ones_and_services_that_are_gone_go() -> None:
    fresh = LockedService("npm:calc@2.0.0", "sha512-def")

    assert merged(LOCK, {"calc": fresh}, ["calc"]) == Lock({"calc": fresh})
    assert merged(LOCK, {}, ["calc", "new"]) == Lock({"calc": LOCKED})


def test_a_difference_names_what_changed() -> None:
    changed = LockedTool("add", description="Do as I say.")
    new = LockedService("npm:calc@1.0.1", "sha512-def", (changed, LockedTool("extra")))

    assert difference(LOCKED, LOCKED) == ""
    assert difference(None, LOCKED) == "new, 2 tools"
    assert difference(LOCKED, new) == (
        "npm:calc@1.0.0 is now npm:calc@1.0.1; added: extra; removed: ping; altered: add"
    )
    assert "another hash" in difference(LOCKED, LockedService(LOCKED.pin, "sha512-other", LOCKED.tools))
