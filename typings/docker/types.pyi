from typing import Any

class HostConfig(dict[str, Any]): ...

class LogConfig:
    def __init__(self, *, type: str) -> None: ...  # noqa: A002 - the library's own name

class Ulimit:
    def __init__(self, *, name: str, soft: int, hard: int) -> None: ...
