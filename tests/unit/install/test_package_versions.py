"""Which version is newer, and what npm and pip say about that."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest

from service_manager.install.outdated import read_npm, read_pip
from service_manager.install.process import Said
from service_manager.install.versions import is_newer

Registry = Literal["npm", "pypi"]

# Semantic Versioning 2.0.0, section 11; PEP 440, "Summary of permitted suffixes and relative ordering".
SEMVER = (
    "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.10"
)
PEP440 = (
    "1.0.dev456 1.0a1.dev1 1.0a1 1.0a2.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456 1.0b2.post345 "
    "1.0rc1.dev456 1.0rc1 1.0 1.0+abc.5 1.0+abc.7 1.0+5 1.0.post456.dev34 1.0.post456 1.1.dev1 1.9 "
    "1.10 2025.1 1!0.1"
)


@pytest.mark.parametrize(
    ("registry", "older", "newer"),
    [
        *(("npm", older, newer) for older, newer in pairwise(SEMVER.split())),
        *(("pypi", older, newer) for older, newer in pairwise(PEP440.split())),
    ],
)
def test_versions_are_ordered_as_their_registry_orders_them(
    registry: Registry, older: str, newer: str
) -> None:
    assert is_newer(registry, newer, older)
    assert not is_newer(registry, older, newer)
    assert not is_newer(registry, newer, newer)


@pytest.mark.parametrize(
    ("registry", "one", "other"),
    [("npm", "1.0.0+a", "1.0.0+b"), ("pypi", "1.0", "1.0.0"), ("pypi", "", "1.0"), ("npm", "new", "1.0.0")],
)
def test_equal_versions_and_words_that_are_none_are_not_newer(
    registry: Registry, one: str, other: str
) -> None:
    assert not is_newer(registry, one, other)
    assert not is_newer(registry, other, one)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (Said(0, '"1.2.3"\n', ""), ("1.2.3", "")),
        (Said(0, '["1.2.3"]', ""), ("1.2.3", "")),
        (
            Said(1, '{"error": {"code": "E404", "summary": "Not found.\\nmore"}}', "npm error"),
            ("", "npm ended with code 1: Not found."),
        ),
        (
            Said(1, "", "npm error fetch https://me:secret@host/x\nmore"),
            ("", "npm ended with code 1: npm error fetch https://***@host/x."),
        ),
        (Said(0, "[]", ""), ("", "npm ended with code 0.")),
        (Said(0, '{"error": 1}', ""), ("", "npm ended with code 0.")),
    ],
)
def test_what_npm_says_is_a_version_or_a_reason(said: Said, answer: tuple[str, str]) -> None:
    assert read_npm(said) == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (Said(0, "server (1.2.3)\nAvailable versions: 1.2.3, 1.0\n", "WARNING: experimental"), ("1.2.3", "")),
        (
            Said(1, "", "WARNING: x\nERROR: No matching distribution found for server\n"),
            ("", "pip ended with code 1: No matching distribution found for server."),
        ),
        (Said(2, "", "unknown command"), ("", "pip ended with code 2: unknown command.")),
        (Said(0, "", ""), ("", "pip ended with code 0.")),
    ],
)
def test_what_pip_says_is_a_version_or_a_reason(said: Said, answer: tuple[str, str]) -> None:
    assert read_pip(said) == answer
