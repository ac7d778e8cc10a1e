"""What tests of several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def contextforge_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the real ContextForge is installed, once; who starts it there stops it."""
    return tmp_path_factory.mktemp("contextforge")
