"""What services.yml means when it is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_manager.config.entry import ServiceEntry, parse_duration
from service_manager.config.services import load_services, parse_services
from service_manager.errors import ConfigError
from service_manager.model import CommandSource, PackageSource, Priority, ServiceSpec, UrlSource

ENVIRON = {"HOME": "/home/ada", "KEY": "k", "IDLE": "90s", "ON": "true"}


def spec_of(entry: str, environ: dict[str, str] | None = None) -> ServiceSpec:
    text = "services:\n  it:\n" + "".join(f"    {line}\n" for line in entry.splitlines())
    (spec,) = parse_services(text, Path("/etc/router/services.yml"), ENVIRON if environ is None else environ)
    return spec


def test_every_key_arrives_in_the_specification() -> None:
    spec = spec_of("""\
pypi: server[cli]==1.2.3
entry: serve
with: [mcp<2, "other[x]>=1,<2"]
description: What it does.
args: [--verbose]
env: {LEVEL: debug}
cwd: work
needs: [python>=3.11, git]
directories: [data]
enabled: false
priority: critical
stateless: true
idle_timeout: 1h30m
min_sleep_time: 0
start_timeout: 2.5
stop_timeout: 500ms
""")

    assert spec == ServiceSpec(
        name="it",
        source=PackageSource("pypi", "server[cli]", "1.2.3", "serve", ("mcp<2", "other[x]>=1,<2")),
        description="What it does.",
        args=("--verbose",),
        env={"LEVEL": "debug"},
        cwd="/etc/router/work",
        needs=("python>=3.11", "git"),
        directories=("/etc/router/data",),
        enabled=False,
        priority=Priority.CRITICAL,
        stateless=True,
        idle_timeout_s=5400.0,
        min_sleep_time_s=0.0,
        start_timeout_s=2.5,
        stop_timeout_s=0.5,
    )


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        ('npm: "@scope/name@1.2.3-rc.1"', PackageSource("npm", "@scope/name", "1.2.3-rc.1")),
        ("npm: name@1.2.3", PackageSource("npm", "name", "1.2.3")),
        ("pypi: name == 2024.1.post1", PackageSource("pypi", "name", "2024.1.post1")),
        ("command: [prog, -x, a b]", CommandSource(("prog", "-x", "a b"))),
        ("command: prog -x 'a b'", CommandSource(("prog", "-x", "a b"))),
        ("command: ~/bin/prog", CommandSource(("/home/ada/bin/prog",))),
        ("command: ./prog", CommandSource(("/etc/router/prog",))),
        ("url: https://host/mcp", UrlSource("https://host/mcp")),
        (
            "url: http://host/mcp\nheaders: {Authorization: Bearer x}",
            UrlSource("http://host/mcp", {"Authorization": "Bearer x"}),
        ),
    ],
)
def test_a_source_is_read(entry: str, source: object) -> None:
    assert spec_of(entry).source == source


def test_a_command_runs_beside_the_file_unless_it_says_otherwise() -> None:
    assert spec_of("command: prog").cwd == "/etc/router"
    assert spec_of('command: prog\ncwd: "~"').cwd == "/home/ada"
    assert spec_of("npm: name@1.2.3").cwd is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("~", "/home/ada"),
        ("~/x", "/home/ada/x"),
        ("--root=~/x", "/home/ada/x"),
        ("a~/x", "a~/x"),
        ("~bob/x", "~bob/x"),
        ("x=~/y", "x=~/y"),
        ("${NOPE:-~/x}", "/home/ada/x"),
    ],
)
def test_a_tilde_is_the_home_directory_where_a_path_starts(written: str, read: str) -> None:
    (argument,) = spec_of(f'npm: name@1.2.3\nargs: ["{written}"]').args

    assert argument.removeprefix("--root=") == read


def test_numbers_and_truths_may_come_from_the_environment() -> None:
    spec = spec_of("npm: a@1.0.0\nidle_timeout: ${IDLE}\nstateless: ${ON}\nenabled: ${NOPE:-false}")

    assert (spec.idle_timeout_s, spec.stateless, spec.enabled) == (90.0, True, False)


def test_words_that_are_truths_in_yaml_are_truths_where_a_truth_is_wanted() -> None:
    assert not spec_of("npm: a@1.0.0\nenabled: off").enabled


def test_a_quoted_word_stays_a_word() -> None:
    assert spec_of('npm: a@1.0.0\nenv: {LANG: "no", DAY: 2026-08-31, TIME: 12:30}').env == {
        "LANG": "no",
        "DAY": "2026-08-31",
        "TIME": "12:30",
    }


def test_a_needed_variable_that_is_set_is_passed_on() -> None:
    assert spec_of("npm: a@1.0.0\nneeds: [env:KEY]").env == {"KEY": "k"}
    assert spec_of("npm: a@1.0.0\nneeds: [env:KEY]\nenv: {KEY: other}").env == {"KEY": "other"}


@pytest.mark.parametrize("reason", ["needs: [env:NOPE]", "enabled: false"])
def test_a_variable_that_only_makes_its_service_unavailable_does_not_make_the_file_wrong(reason: str) -> None:
    assert spec_of(f"npm: a@1.0.0\n{reason}\nargs: ['--key=${{NOPE}}']").args == ("--key=",)


def test_the_need_of_one_service_excuses_no_other() -> None:
    text = """\
services:
  a:
    npm: a@1.0.0
    needs: [env:NOPE]
  b:
    npm: b@1.0.0
    args: ['${NOPE}']
"""
    with pytest.raises(ConfigError, match=r"services.yml:7: .*NOPE is not set"):
        parse_services(text, Path("services.yml"), ENVIRON)


def test_the_data_directory_can_be_named() -> None:
    environ = {"HOME": "/home/ada", "TOOL_ROUTER_HOME": "/srv/router"}

    assert spec_of("npm: a@1.0.0\nargs: ['${TOOL_ROUTER_DATA}/x']", environ).args == ("/srv/router/data/x",)


def test_services_keep_the_order_of_the_file() -> None:
    text = "services:\n  b: {npm: b@1.0.0}\n  a: {npm: a@1.0.0}\n"

    assert [spec.name for spec in parse_services(text, Path("s.yml"), ENVIRON)] == ["b", "a"]


def test_a_file_may_have_no_services() -> None:
    assert parse_services("services: {}\n", Path("s.yml"), ENVIRON) == ()


def test_a_specification_does_not_show_its_secrets() -> None:
    assert "'k'" not in repr(spec_of("npm: a@1.0.0\nneeds: [env:KEY]"))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30.0),
        (2.5, 2.5),
        ("30", 30.0),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("1d", 86400.0),
    ],
)
def test_durations_are_seconds_or_numbers_with_units(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


def test_a_file_that_is_not_there_or_is_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_services(tmp_path / "services.yml", ENVIRON)
    (tmp_path / "services.yml").write_bytes(b"services: \xff\xfe")
    with pytest.raises(ConfigError, match="can't be read"):
        load_services(tmp_path / "services.yml", ENVIRON)
    with pytest.raises(ConfigError, match="can't be read"):
        load_services(tmp_path, ENVIRON)


def test_every_key_is_described() -> None:
    assert [name for name, field in ServiceEntry.model_fields.items() if not field.description] == []
