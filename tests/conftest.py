"""Fixtures every test shares, and how the tests are shared out among several workers."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.turns import Turns, is_alone

MACHINE = "machine"
"""Tests that change something of the whole machine (swap, control groups, an engine) take turns."""

CONTEXTFORGE = "contextforge"
"""Tests of the real ContextForge share one installation."""

GROUPS = {
    "tests/integration/docker/": MACHINE,
    "tests/integration/enforce/": MACHINE,
    "tests/integration/sleep/": MACHINE,
    "tests/integration/gateway/test_contextforge_real.py": CONTEXTFORGE,
    "tests/integration/daemon/test_contextforge_real.py": CONTEXTFORGE,
}
"""What stays with one worker, by where it is; every other module is a group of its own."""


class Grouped(LoadScopeScheduling):
    """Gives each worker one group of tests after the other."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((group for path, group in GROUPS.items() if module.startswith(path)), module)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Grouped:
    """Have the tests of a group run by one worker."""
    return Grouped(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Let tests that measure time run alone."""
    config.pluginmanager.register(Turns())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers share the tests, begin with what takes minutes and end with what runs alone."""
    if hasattr(config, "workerinput"):
        accompanied = {item.path for item in items if not is_alone(item)}
        items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.path not in accompanied))


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what production runs; a test that needs trio's MockClock parametrises this itself."""
    return "asyncio"
