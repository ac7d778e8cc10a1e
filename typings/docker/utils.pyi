from collections.abc import Mapping
from typing import Any

def kwargs_from_env(environment: Mapping[str, str] | None = ...) -> dict[str, Any]: ...
