"""Fixtures of the gateways' tests."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from service_manager.daemon.launch import MODULE
from tests.integration.daemon.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    home = Home(tmp_path, MODULE)
    home.write("raw")
    yield home
    home.end()
