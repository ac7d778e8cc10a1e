"""Fixtures of the fault matrix."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.integration.faults.far_side import FarSide, far_side


@pytest.fixture(scope="package")
def far() -> Generator[FarSide]:
    """The servers behind the proxies."""
    with far_side() as running:
        yield running
