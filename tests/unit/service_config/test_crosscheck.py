"""What is wrong between entries that are each right, each told with the line it is on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from service_manager.cli.crosscheck import check_limits, cross_check
from service_manager.config.services import parse_services
from service_manager.config.yamldocument import KeyPath
from service_manager.config.yamlfile import read
from service_manager.policy.rules import Amount, SystemRules

FILE = Path("/home/of/services.yml")
EXTRAS = ("docker", "kubernetes")


def found(entries: Sequence[str], extras: Sequence[str] = EXTRAS) -> list[tuple[int, str, bool]]:
    """Line, what and whether it is a warning, of what is wrong in a file of one line for each entry."""
    text = "\n".join(["services:", *(f"  {entry}" for entry in entries)])
    specs = parse_services(text, FILE, {})
    findings = cross_check(specs, read(text, str(FILE), {}).line, extras)
    return [(finding.problem.line, finding.problem.what, finding.warning) for finding in findings]


RIGHT = [
    'a: {pypi: a==1.0, environment: tools, endpoint: "http://127.0.0.1:{port}/mcp", args: ["{port}"]}',
    "b: {pypi: b==1.0, environment: tools}",
    'c: {npm: "c@1.0.0", environment: web, endpoint: "http://127.0.0.1:8001/mcp"}',
    'd: {command: d, endpoint: "http://127.0.0.1:8002/mcp", env: {PORT: "8002"}}',
    'e: {command: e, endpoint: "http://127.0.0.1:{port}/mcp", env: {PORT: "{port}"}}',
    'f: {url: "http://127.0.0.1:8002/mcp"}',
    'g: {image: "g:1"}',
    'h: {deployment: default/h, endpoint: "http://h/mcp"}',
    'i: {deployment: default/i, endpoint: "http://h/mcp"}',
    "j: {command: j, sleep: frozen, wake_target: 1s}",
]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert found(RIGHT) == []


@pytest.mark.parametrize(
    ("entries", "line", "what", "warning"),
    [
        pytest.param(
            ["a: {pypi: a==1.0, environment: tools}", 'b: {npm: "b@1.0.0", environment: tools}'],
            3,
            "the environment `tools` of a holds pypi packages",
            False,
            id="packages of two registries in one environment",
        ),
        pytest.param(
            ["a: {pypi: X==1.0, environment: tools}", "b: {pypi: x==1.1, environment: tools}"],
            3,
            "a pins x 1.0 in the environment `tools`",
            False,
            id="two versions of one package in one environment",
        ),
        pytest.param(
            [
                'a: {command: a, endpoint: "http://127.0.0.1:8000/mcp"}',
                'b: {command: b, endpoint: "http://localhost:8000/other"}',
            ],
            3,
            "a listens on port 8000 of localhost already",
            False,
            id="two services on one port",
        ),
        pytest.param(
            ['a: {command: a, endpoint: "http://box/a"}', 'b: {image: b, endpoint: "http://box:80/b"}'],
            3,
            "a listens on port 80 of box already",
            False,
            id="one port in two spellings",
        ),
        pytest.param(
            ['a: {command: a, endpoint: "http://127.0.0.1:{port}/mcp"}'],
            2,
            "nothing tells a which port it is to listen on",
            True,
            id="a free port nobody is told of",
        ),
        pytest.param(
            ['a: {command: a, args: ["--port={port}"]}'],
            2,
            "no port takes the place of `{port}`, because the endpoint has none",
            True,
            id="a place for a port and no endpoint",
        ),
        pytest.param(
            ['a: {url: "http://a/mcp", limits: {memory: 1GB}}'],
            2,
            "`limits` means nothing for a, which is not run from here",
            True,
            id="limits of what runs elsewhere",
        ),
        pytest.param(
            ["a: {command: a, sleep: warm, wake_target: 1s}"],
            2,
            "a never sleeps, so that `wake_target` means nothing",
            True,
            id="a wake target of what never sleeps",
        ),
    ],
)
def test_is_found(entries: list[str], line: int, what: str, warning: bool) -> None:
    assert found(entries) == [(line, what, warning)]


def test_disabled_entries_are_left_out() -> None:
    entries = [
        'a: {command: a, endpoint: "http://127.0.0.1:8000/mcp"}',
        'b: {command: b, endpoint: "http://127.0.0.1:8000/mcp", enabled: false}',
    ]
    assert found(entries) == []


@pytest.mark.parametrize(
    ("entry", "extra"),
    [('a: {image: "a:1"}', "docker"), ('a: {deployment: b/a, endpoint: "http://a/mcp"}', "kubernetes")],
)
def test_an_extra_that_is_not_installed_is_a_warning(entry: str, extra: str) -> None:
    others = [name for name in EXTRAS if name != extra]
    assert found([entry], others) == [(2, f"a needs the extra `{extra}`, which is not installed", True)]


SERVICES = """\
services:
  a: {command: a, priority: critical}
  b: {command: b, sleep: warm, limits: {memory: 3GB}}
  c: {command: c, priority: critical, sleep: frozen}
  d: {command: d, priority: critical, enabled: false, limits: {memory: 9GB}}
  e: {command: e}
"""


@pytest.mark.parametrize(
    ("system", "what"),
    [
        (SystemRules(max_concurrent=2, memory=Amount(4 * 1024.0**3)), []),
        (SystemRules(max_concurrent=None, memory=None), []),
        (SystemRules(max_concurrent=2, memory=Amount(0.5, relative=True)), []),
        (
            SystemRules(max_concurrent=1),
            [("max_concurrent", "2 services never sleep, and max_concurrent lets only 1 be awake", False)],
        ),
        (
            SystemRules(memory=Amount(2 * 1024.0**3)),
            [("memory", "b may use more memory than all services together", True)],
        ),
    ],
)
def test_the_services_fit_into_what_all_of_them_may_use(
    system: SystemRules, what: list[tuple[str, str, bool]]
) -> None:
    asked: list[KeyPath] = []

    def line(path: KeyPath) -> int:
        asked.append(path)
        return 7

    findings = check_limits(parse_services(SERVICES, FILE, {}), system, line)

    told = [(finding.problem.line, finding.problem.what, finding.warning) for finding in findings]
    assert told == [(7, said, warning) for _, said, warning in what]
    assert asked == [("system", key) for key, _, _ in what]
