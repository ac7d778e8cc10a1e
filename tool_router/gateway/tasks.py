"""Background tasks of a context that should not be seen from outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.abc


@asynccontextmanager
async def plain_task_group() -> AsyncGenerator[anyio.abc.TaskGroup]:
    """A task group that does not change what the block raises: one exception comes out as itself."""
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
