"""Node's compile cache: what a Node server's code was compiled to, kept for its next start.

Node reads and writes one from 22.1 on (its documentation, "Module compile cache"). It writes it only when it
ends by itself, which a server that is told to end with SIGTERM does not: so it is filled once, after the
installation. A startup snapshot would save more, but Node builds one from a single CommonJS file only, and
servers are trees of ES modules.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio

from service_manager.install.process import ask, run_logged

COMPILE_CACHE_SINCE = (22, 1)
"""The first Node that has a compile cache of its own."""

CACHE = "compile-cache"
"""Where a managed directory has it, so that it is removed with the package."""

WARM_S = 10.0
"""How long the run that fills the cache may take: most servers end when their input ends, some do not."""

VERSION_S = 10.0

_PASSED_ON = ("HOME", "PATH", "TMPDIR")
"""What a server gets that runs only to be compiled; it does not need the user's keys for that."""


def node_environment(version: tuple[int, ...], cache_dir: Path) -> dict[str, str]:
    """The variables that let this version of Node start faster; none where it knows none.

    Args:
        version: its numbers, such as ``(22, 11, 0)``; empty when it is not known.
        cache_dir: where it may write what it compiles; it goes without when it can't.
    """
    return {"NODE_COMPILE_CACHE": str(cache_dir)} if version >= COMPILE_CACHE_SINCE else {}


async def node_version(node: str, environ: Mapping[str, str]) -> tuple[int, ...]:
    """The version of a Node executable, by asking it; empty when it does not say."""
    try:
        said = await ask([node, "--version"], environ=environ, timeout_s=VERSION_S)
    except (OSError, TimeoutError):
        return ()
    found = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)\S*", said.output.strip())
    return tuple(int(number) for number in found.groups()) if found else ()


async def warm(directory: Path, script: str, log: Path, environ: Mapping[str, str]) -> None:
    """Run a server once with an input that has ended, so that Node writes down what it compiled.

    A cache that is not filled is no failure: every start does without it.

    Args:
        directory: the managed directory, where it stands for good: the cache is bound to paths.
        script: what is run, relative to it.
        log: gets what the server writes.
        environ: where node is found.
    """
    node = shutil.which("node", path=environ.get("PATH"))
    if node is None:
        return
    variables = node_environment(await node_version(node, environ), directory / CACHE)
    if not variables:
        return
    inherited = {name: environ[name] for name in _PASSED_ON if name in environ}
    with suppress(OSError), anyio.move_on_after(WARM_S):
        await run_logged([node, script], cwd=directory, environ=inherited | variables, log=log, tick=_unseen)


async def _unseen(elapsed_s: float) -> None:
    """Nobody waits for more than a moment."""
