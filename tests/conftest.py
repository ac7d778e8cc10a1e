"""Fixtures every test shares, and how the tests are shared out among several workers."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent

MACHINE = "machine"
"""Tests that change something of the whole machine (swap, control groups, an engine) take turns."""
CONTEXTFORGE = "contextforge"
"""Tests of the real ContextForge share one installation."""

GROUPS = {
    "integration/docker": MACHINE,
    "integration/enforce": MACHINE,
    "integration/sleep": MACHINE,
    "integration/gateway/test_contextforge_real.py": CONTEXTFORGE,
    "integration/daemon/test_contextforge_real.py": CONTEXTFORGE,
}


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what production runs; a test that needs trio's MockClock parametrises this itself."""
    return "asyncio"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a module with one worker, and those of a group; what takes minutes comes first."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path.relative_to(ROOT).as_posix())))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def _group(path: str) -> str:
    return next((group for prefix, group in GROUPS.items() if path.startswith(prefix)), path)
