"""Fixtures of the tests that talk to models."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.ollama_server import OllamaServer


@pytest.fixture
async def server() -> AsyncIterator[OllamaServer]:
    async with OllamaServer().running() as started:
        yield started
