"""Fixtures every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio is what production runs; a test that needs trio's MockClock parametrises this itself."""
    return "asyncio"
