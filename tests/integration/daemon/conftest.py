"""A services.yml whose daemons are gone when the test is over."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.daemon.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    home = Home(tmp_path)
    home.write("raw")
    yield home
    home.end()
