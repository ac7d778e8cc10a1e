"""One Docker engine for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.docker.running import Containers


@pytest.fixture(scope="session")
def docker_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an engine that has the images; skips where there can be none."""
    pytest.importorskip("docker", reason="the Docker SDK is not installed")
    from tests.integration.docker.engine import EngineProcess, missing

    if reason := missing():
        pytest.skip(reason)
    engine = EngineProcess(tmp_path_factory.mktemp("docker"))
    engine.start()
    try:
        engine.load()
        yield engine.host
    finally:
        engine.stop()


@pytest.fixture
def containers(docker_host: str) -> Iterator[Containers]:
    """What a test runs containers with; none may be left when it ends."""
    running = Containers(docker_host)
    yield running
    running.close()
    assert running.names() == []
