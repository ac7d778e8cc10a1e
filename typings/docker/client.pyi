from collections.abc import Mapping, Sequence
from typing import Any, Literal

from docker.types import HostConfig

class APIClient:
    base_url: str
    def __init__(
        self,
        base_url: str | None = ...,
        version: str | None = ...,
        timeout: float = ...,
        tls: object = ...,
    ) -> None: ...
    def close(self) -> None: ...
    def containers(
        self,
        *,
        all: bool = ...,  # noqa: A002 - the library's own name
        filters: Mapping[str, Sequence[str]] | None = ...,
    ) -> list[dict[str, Any]]: ...
    def create_container(
        self,
        image: str,
        command: Sequence[str] | None = ...,
        *,
        name: str,
        labels: Mapping[str, str],
        environment: Mapping[str, str],
        stdin_open: bool,
        working_dir: str | None,
        host_config: HostConfig,
        use_config_proxy: bool,
    ) -> dict[str, Any]: ...
    def create_host_config(
        self,
        *,
        network_mode: str | None,
        mem_limit: int | None,
        nano_cpus: int | None,
        pids_limit: int | None,
        ulimits: Sequence[object],
        log_config: object,
    ) -> HostConfig: ...
    def import_image_from_data(
        self, data: bytes, *, repository: str, tag: str, changes: Sequence[str]
    ) -> str: ...
    def inspect_container(self, container: str) -> dict[str, Any]: ...
    def kill(self, container: str, signal: str | int | None = ...) -> None: ...
    def networks(self, names: Sequence[str] | None = ...) -> list[dict[str, Any]]: ...
    def pause(self, container: str) -> None: ...
    def remove_container(
        self, container: str, v: bool = ..., link: bool = ..., force: bool = ...
    ) -> None: ...
    def start(self, container: str) -> None: ...
    def stats(
        self, container: str, *, stream: Literal[False], one_shot: bool | None = ...
    ) -> dict[str, Any]: ...
    def unpause(self, container: str) -> None: ...
