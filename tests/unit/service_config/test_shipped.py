"""The services.yml and the lock that are shipped: right, complete, and clean."""

from __future__ import annotations

import json
import re

import pytest

from service_manager.config.lock import format_lock, load_lock, read_lock
from service_manager.config.needs import all_needs
from service_manager.config.pins import lock_pin
from service_manager.config.services import load_services
from service_manager.model import PackageSource, ServiceSpec
from service_manager.paths import lock_file, shipped_config_dir

FILE = shipped_config_dir() / "services.yml"
SPECS = load_services(FILE, {"HOME": "/home/ada"})
LOCK = load_lock(FILE)


def test_there_are_eight_to_ten_services_and_none_needs_a_setting_to_be_listed() -> None:
    assert 8 <= len(SPECS) <= 10
    assert all(spec.enabled and spec.description and spec.needs for spec in SPECS)


@pytest.mark.parametrize("spec", SPECS, ids=[spec.name for spec in SPECS])
def test_every_service_is_pinned_locked_and_says_what_it_needs(spec: ServiceSpec) -> None:
    locked = LOCK.for_spec(spec)

    assert isinstance(spec.source, PackageSource)
    assert tuple(spec.needs) == tuple(all_needs(spec))
    assert locked is not None
    assert locked.pin == lock_pin(spec.source)
    assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==|sha256:[0-9a-f]{64}", locked.integrity)
    assert locked.tools
    assert all(tool.description and tool.input_schema for tool in locked.tools)


def test_most_services_need_no_key() -> None:
    without = [spec for spec in SPECS if not any(need.startswith("env:") for need in spec.needs)]

    assert len(without) >= 8


def test_files_are_seen_in_a_directory_of_their_own_only() -> None:
    (spec,) = (spec for spec in SPECS if spec.name == "filesystem")

    assert spec.args == ("/home/ada/tool-router",)
    assert spec.directories == spec.args


def test_services_keep_their_data_in_the_data_directory() -> None:
    specs = {spec.name: spec for spec in SPECS}

    data = "/home/ada/.local/share/tool-router"
    assert specs["memory"].env["MEMORY_FILE_PATH"] == f"{data}/memory/memory.jsonl"
    assert specs["memory"].directories == (f"{data}/memory",)
    assert specs["sqlite"].args == ("--db-path", f"{data}/sqlite/data.db")


def test_the_lock_is_as_the_command_writes_it_and_has_no_entry_too_many() -> None:
    path = lock_file(FILE)
    lock = read_lock(path)

    assert path.read_text(encoding="utf-8") == format_lock(lock)
    assert set(lock.services) == {spec.name for spec in SPECS}


def test_the_lock_names_no_address_packages_come_from_and_no_place_on_a_machine() -> None:
    data = json.loads(lock_file(FILE).read_text(encoding="utf-8"))
    text = json.dumps(data)

    assert "resolved" not in {key for entry in data["services"].values() for key in entry}
    assert not re.search(r"registry\.|pythonhosted|/root/|/home/(?!user)", text)
