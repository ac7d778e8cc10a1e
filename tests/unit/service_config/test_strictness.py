"""What services.yml refuses: each mistake, the line it is reported on, and what the message says."""

from __future__ import annotations

from pathlib import Path

import pytest

from service_manager.config.services import parse_services
from service_manager.errors import ConfigError

ENVIRON = {"HOME": "/home/ada", "EMPTY": "", "PORT": "8080"}


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_services(text, Path("services.yml"), ENVIRON)
    return caught.value.problems


def one_entry(*lines: str, first: str = "pypi: mcp-server-time==1.0") -> str:
    """A file whose entry `time` starts on line 2, `first` on line 3, and `lines` from line 4 on."""
    return "\n".join(["services:", "  time:", f"    {first}", *(f"    {line}" for line in lines)]) + "\n"


MISTAKES = {
    "a misspelt key": (
        one_entry("idle_timout: 5m"),
        4,
        "unknown key `idle_timout`",
        "Did you mean `idle_timeout`?",
    ),
    "a key nobody knows": (one_entry("zzz: 1"), 4, "unknown key `zzz`", "Known keys: npm, pypi"),
    "a misspelt top key": ("servcies: {}\n", 1, "unknown key `servcies`", "Did you mean `services`?"),
    "no services": ("# nothing\n", 1, "the key `services` is missing", "Add `services:`"),
    "services without any": ("services:\n", 1, "keys with values are wanted", "indented"),
    "a list at the top": ("- time\n", 1, "the file holds a list", "key"),
    "a duplicate key": (
        one_entry("env: {A: x}", "env: {B: y}"),
        5,
        "`env` is given twice, first on line 4",
        "one",
    ),
    "a duplicate service": (
        one_entry() + "  time:\n    npm: a@1.0.0\n",
        4,
        "`time` is given twice, first on line 2",
        "Keep one",
    ),
    "two sources": (one_entry("npm: a@1.0.0"), 4, "time has both `pypi:` and `npm:`", "Keep one of them"),
    "no source": (one_entry(first="description: x"), 2, "time does not say what to run", "`npm:`, `pypi:`"),
    "an unpinned npm package": (
        one_entry(first="npm: server"),
        3,
        "`server` has no version",
        "`server@1.2.3`",
    ),
    "an unpinned scope": (one_entry(first='npm: "@a/b"'), 3, "`@a/b` has no version", "`@a/b@1.2.3`"),
    "an npm range": (one_entry(first="npm: server@^1.2.0"), 3, "`^1.2.0` is not an exact version", "Pin one"),
    "an npm tag": (one_entry(first="npm: server@latest"), 3, "`latest` is not an exact version", "Pin one"),
    "a scope without quotes": (one_entry(first="npm: @a/b@1.0.0"), 3, "can't start with `@`", "quotes"),
    "an unpinned Python package": (
        one_entry(first="pypi: server"),
        3,
        "has no exact version",
        "`server==1.2.3`",
    ),
    "a Python range": (one_entry(first="pypi: server>=1"), 3, "has no exact version", "`server==1.2.3`"),
    "a Python wildcard": (
        one_entry(first="pypi: server==1.*"),
        3,
        "`1.*` is not an exact",
        "`server==1.2.3`",
    ),
    "npm's form for Python": (one_entry(first="pypi: server@1.2"), 3, "written as for npm", "`server==1.2`"),
    "Python's form for npm": (
        one_entry(first="npm: server==1.2.3"),
        3,
        "written as for PyPI",
        "`name@1.2.3`",
    ),
    "an option as a package": (
        one_entry(first="npm: --registry=x@1.0.0"),
        3,
        "is not an npm",
        "`name@1.2.3`",
    ),
    "an option as a requirement": (one_entry("with: [--pre]"), 4, "`--pre` is not a requirement", "`name<2`"),
    "a requirement without a package": (
        one_entry("with: [x]", first="command: run"),
        4,
        "`with` means nothing without `npm:` or `pypi:`",
        "Remove it",
    ),
    "headers without an address": (one_entry("headers: {A: b}"), 4, "`headers` means nothing", "Remove it"),
    "an address without a scheme": (
        one_entry(first="url: localhost:80/mcp"),
        3,
        "no http:// or https://",
        "whole",
    ),
    "an empty command": (one_entry(first="command: []"), 3, "the command is empty", "program"),
    "an open quote in a command": (
        one_entry(first="command: run 'x"),
        3,
        "can't be split into words",
        "list",
    ),
    "a bad duration": (one_entry("idle_timeout: 5 minutes"), 4, "`5 minutes` is not a duration", '"5m"'),
    "a negative duration": (one_entry("idle_timeout: -5"), 4, "can't be -5", '"5m"'),
    "an endless duration": (one_entry("idle_timeout: .inf"), 4, "can't be inf", '"5m"'),
    "a start that may take no time": (one_entry("start_timeout: 0"), 4, "can't be zero", '"30s"'),
    "a truth as a duration": (one_entry("idle_timeout: yes"), 4, "not a duration", '"5m"'),
    "a misspelt priority": (one_entry("priority: hihg"), 4, "`hihg` is not one of critical, high", "`high`"),
    "off where text is wanted": (
        one_entry("description: off"),
        4,
        "text is wanted, and `off` without quotes is false in YAML",
        'Write "off" in quotes',
    ),
    "no in the environment": (one_entry("env:", "  LANG: no"), 5, "`no` without quotes is false", '"no"'),
    "a number as an argument": (
        one_entry("args: [--port, 8080]"),
        4,
        "`8080` without quotes is a number",
        '"8080"',
    ),
    "a number among arguments, one on a line": (
        one_entry("args:", "  - --port", "  - 1.10"),
        6,
        "`1.10` without quotes is a number",
        '"1.10"',
    ),
    "a key that is no text": (one_entry("env:", "  no: x"), 5, "the key `no` is read as false", '"no"'),
    "a tilde without quotes": (one_entry("cwd: ~"), 4, "`~` without quotes is nothing in YAML", '"~"'),
    "nothing where text is wanted": (one_entry("cwd:"), 4, "there is nothing", '""'),
    "text where a truth is wanted": (one_entry('enabled: "maybe"'), 4, "true or false is wanted", "`true`"),
    "a number where a truth is wanted": (one_entry("enabled: 1"), 4, "true or false is wanted", "`true`"),
    "text where a list is wanted": (one_entry("args: --port"), 4, "a list is wanted here", "[a, b]"),
    "a list where keys are wanted": (one_entry("env: [A]"), 4, "keys with values are wanted", "key: value"),
    "an entry that is text": ("services:\n  time: mcp-server-time\n", 2, "keys with values", "key: value"),
    "a need that is nothing": (
        one_entry('needs: ["env:"]'),
        4,
        "`env:` is not something a service",
        "env:NAME",
    ),
    "a name with a space": (
        "services:\n  my time:\n    npm: a@1.0.0\n",
        2,
        "`my time` is not a name",
        "letters",
    ),
    "a missing variable": (
        one_entry("env: {K: '${NOPE}'}"),
        4,
        "variable NOPE is not set",
        "${NOPE:-default}",
    ),
    "a missing variable in a block": (
        one_entry("description: >", "  one", "  ${NOPE}"),
        4,
        "variable NOPE is not set",
        "${NOPE:-default}",
    ),
    "a variable without braces": (one_entry("args: [$PORT]"), 4, "`$PORT` has no braces", "`${PORT}`"),
    "an open brace": (one_entry("args: ['${PORT']"), 4, "neither `}` nor `:-`", "`${PORT}`"),
    "braces in a list without quotes": (one_entry("args: [${PORT}]"), 4, "can't be read", "in quotes"),
    "a tab": ("services:\n\ttime:\n\t\tnpm: a@1.0.0\n", 2, "a tab is used", "spaces"),
    "a tab further down": (one_entry().rstrip() + "\n\t  args: []\n", 4, "a tab is used", "spaces"),
    "a colon too many": (one_entry("description: time: now"), 4, "a `:` is not expected", "quotes"),
    "a key without a colon": (one_entry("enabled", "priority: low"), 4, "a `:` is missing", "key: value"),
    "a second document": ("services: {}\n---\nservices: {}\n", 2, "a second document", "---"),
    "an open bracket": (one_entry("args: [a, b"), 5, "can't be read", "brackets"),
    "a tag": (
        one_entry("description: !!python/name:os.system x"),
        4,
        "tag `tag:yaml.org,2002:python",
        "Remove",
    ),
    "a merge key": ("a: &a {}\nservices:\n  <<: *a\n", 3, "merge keys (`<<`) are not supported", "out"),
    "an alias of itself": (one_entry("args: &a [x, *a]"), 4, "expands without end", "out"),
    "a control character": (one_entry("description: a\x07b"), 4, "a character that no text file", "UTF-8"),
}


@pytest.mark.parametrize(("text", "line", "what", "suggestion"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_reported_on_its_line_with_what_to_do(
    text: str, line: int, what: str, suggestion: str
) -> None:
    told = [problem for problem in problems_of(text) if what in problem]

    assert told, problems_of(text)
    assert told[0].startswith(f"services.yml:{line}: ")
    assert suggestion in told[0]


def test_a_single_mistake_is_the_whole_message() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_services(one_entry("idle_timout: 5m"), Path("services.yml"), ENVIRON)

    assert caught.value.tried == "services.yml:4: unknown key `idle_timout`."
    assert caught.value.next_step == "Did you mean `idle_timeout`?"


def test_every_mistake_of_a_file_is_reported_in_the_order_of_its_lines() -> None:
    text = """\
services:
  one:
    npm: a
    idle_timout: 5m
    args: ["${NOPE}"]
  two:
    description: off
  three:
    pypi: b==1.0
    command: b
    description: x
    description: y
"""
    lines = [int(problem.split(":")[1]) for problem in problems_of(text)]

    assert lines == [3, 4, 5, 6, 7, 10, 12]


def test_a_mistake_never_shows_what_a_variable_holds() -> None:
    text = one_entry(
        "priority: ${SECRET}", "idle_timeout: ${SECRET}", "needs: ['${SECRET}/x']", "with: ['-${SECRET}']"
    )
    text += '  other:\n    pypi: ${SECRET}\n  third:\n    npm: "a@${SECRET}"\n'
    with pytest.raises(ConfigError) as caught:
        parse_services(text, Path("services.yml"), {"SECRET": "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert len(caught.value.problems) == 6


def test_a_file_that_nests_without_end_is_refused_and_does_not_crash() -> None:
    for text in ("a: " + "[" * 5_000, "a: " + "[" * 2_000 + "]" * 2_000):
        assert "nested too deeply" in problems_of(text)[0]


def test_aliases_that_multiply_are_refused() -> None:
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    text = "a0: &a0 [x]\n" + "\n".join(levels) + "\n"

    assert any("expands without end" in problem for problem in problems_of(text))
