"""A Docker engine, asked through its SDK in worker threads; the SDK is an extra, imported on first use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio import to_thread

from service_manager.drivers.docker_owner import OWNER_LABEL
from service_manager.drivers.docker_usage import usage_of
from service_manager.errors import PlatformError
from service_manager.resources import ResourceUse

if TYPE_CHECKING:
    from docker import APIClient

DEFAULT_HOST = "unix:///var/run/docker.sock"
"""Where an engine listens unless DOCKER_HOST says otherwise."""

ANSWER_S = 30.0
"""How long the engine may take to answer; nothing that is asked of it here waits for a container."""

AT_ONCE = 4
"""Requests to the engine at the same time for one service."""

NO_SDK = "Install it with: pip install 'mcp-tool-router[docker]'"

T = TypeVar("T")


class Engine:
    """One connection to an engine; see `connect`.

    Attributes:
        host: its address, as in DOCKER_HOST.
    """

    def __init__(self, client: APIClient, host: str) -> None:
        self.host = host
        self._client = client
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def ask(self, question: Callable[[APIClient], T]) -> T:
        """Ask the engine in a worker thread, which ends with the answer, whoever is cancelled meanwhile.

        Raises:
            PlatformError: it can't be reached, or refuses.
        """
        return await to_thread.run_sync(_asked, self._client, self.host, question, limiter=self._limiter)

    async def inspect(self, container: str) -> Mapping[str, Any]:
        """Everything the engine knows of a container."""
        return await self.ask(lambda client: client.inspect_container(container))

    async def usage(self, container: str) -> ResourceUse:
        """What a container uses now, asleep or awake, as the engine counts it: once a second."""
        return usage_of(await self.ask(lambda client: _stats(client, container)))

    async def owned(self) -> list[dict[str, Any]]:
        """The containers that carry an owner's label, running or not."""
        wanted = {"label": [OWNER_LABEL]}
        return await self.ask(lambda client: client.containers(all=True, filters=wanted))

    async def remove(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes; nothing when it is gone or on its way."""
        try:
            await self.ask(lambda client: client.remove_container(container, v=True, force=True))
        except PlatformError as error:
            if error.status not in (404, 409):
                raise


@asynccontextmanager
async def connect(environ: Mapping[str, str]) -> AsyncGenerator[Engine]:
    """A connection to the engine of DOCKER_HOST (and DOCKER_TLS_VERIFY, DOCKER_CERT_PATH), or the local one.

    Raises:
        PlatformError: the SDK is missing, or the engine does not answer.
    """
    host = environ.get("DOCKER_HOST") or DEFAULT_HOST
    client = await to_thread.run_sync(_client, environ, host)
    try:
        yield Engine(client, host)
    finally:
        client.close()


def _client(environ: Mapping[str, str], host: str) -> APIClient:
    try:
        from docker import APIClient
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env
    except ImportError as error:
        raise PlatformError("Docker services need the Docker SDK, which is not installed.", NO_SDK) from error
    try:
        options = {**kwargs_from_env({"DOCKER_HOST": host, **environ}), "base_url": host}
        return APIClient(**options, version="auto", timeout=ANSWER_S)
    except (DockerException, OSError, ValueError) as error:
        raise _unreachable(host, error) from error


def _asked(client: APIClient, host: str, question: Callable[[APIClient], T]) -> T:
    from docker.errors import APIError, DockerException

    try:
        return question(client)
    except APIError as error:
        raise PlatformError(
            (error.explanation or str(error)).rstrip("."), "", error.status_code or 0
        ) from error
    except (DockerException, OSError) as error:
        raise _unreachable(host, error) from error


def _stats(client: APIClient, container: str) -> dict[str, Any]:
    from docker.errors import InvalidVersion

    try:
        return client.stats(container, stream=False, one_shot=True)
    except InvalidVersion:
        # Engines before API version 1.41 measure for a second.
        return client.stats(container, stream=False)


def _unreachable(host: str, error: Exception) -> PlatformError:
    return PlatformError(
        f"The Docker engine at {host} does not answer: {_first_cause(error)}.",
        "Start it, or name another one by DOCKER_HOST.",
    )


def _first_cause(error: BaseException) -> str:
    """What lies under the layers of the SDK and its HTTP libraries, in words."""
    with contextlib.suppress(RecursionError):
        inner = error.__cause__ or error.__context__
        if inner is not None:
            return _first_cause(inner)
    return f"{error}" or type(error).__name__
