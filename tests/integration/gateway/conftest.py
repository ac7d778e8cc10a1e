"""Fixtures of the gateways' tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from service_manager.daemon.address import read_address
from service_manager.daemon.launch import MODULE
from tests.integration.daemon.home import Home, running


@pytest.fixture
def home(tmp_path: Path) -> Generator[Home]:
    home = Home(tmp_path, MODULE)
    home.write("raw")
    yield home
    for process in home.started:
        process.kill()
        process.communicate()
    left = read_address(home.place)
    if left is not None and running(left.pid):
        os.kill(left.pid, signal.SIGKILL)
