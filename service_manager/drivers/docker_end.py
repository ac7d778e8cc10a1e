"""Removes the containers of a manager that was killed; run by the watchdog, as a script.

usage: python -P docker_end.py OWNER, with the engine in DOCKER_HOST. Imports nothing but the SDK.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from docker import APIClient
from docker.errors import APIError
from docker.utils import kwargs_from_env

ANSWER_S = 5.0
"""How long the engine may take over each container."""


def main() -> None:
    """Kill and remove every container with this owner's label, paused ones as well."""
    client = APIClient(**kwargs_from_env(), version="auto", timeout=ANSWER_S)
    owner = f"tool-router.owner={sys.argv[1]}"
    for container in client.containers(all=True, filters={"label": [owner]}):
        with suppress(APIError):
            client.remove_container(container["Id"], v=True, force=True)


if __name__ == "__main__":
    main()
