"""Fixtures every test shares, and which tests go to one worker when several run them."""

from __future__ import annotations

from pathlib import Path

import pytest

INTEGRATION = Path(__file__).parent / "integration"


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what production runs; a test that needs trio's MockClock parametrises this itself."""
    return "asyncio"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each area of the integration tests on one worker: its servers are started once, and are its own.

    What changes the machine (swap, control groups, a Docker engine) is one area, because others would notice.
    """
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        if item.path.is_relative_to(INTEGRATION):
            area = item.path.relative_to(INTEGRATION).parts[0]
            group = "machine" if area in ("sleep", "enforce", "docker") else area
            item.add_marker(pytest.mark.xdist_group(group))
