"""A manager in a process of its own, to be killed: runs one container, puts it to sleep where told, says so.

usage: python -m tests.integration.docker.manager DOCKER_HOST [--asleep]
"""

from __future__ import annotations

import sys

import anyio

from service_manager.model import Tier
from tests.integration.docker.running import Containers


async def main() -> None:
    """Print the watchdog's number, then wait to be killed."""
    containers = Containers(sys.argv[1])
    async with containers.run() as running:
        if "--asleep" in sys.argv:
            await running.sleeper.sleep(Tier.FROZEN)
        sys.stdout.write("running\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main)
