"""Fixtures of the balance tests."""

from __future__ import annotations

import pytest

from tests.unit.balance.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
