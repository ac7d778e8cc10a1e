"""Background tasks of a context that should not be seen from outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import anyio.abc


@asynccontextmanager
async def plain_task_group(*, nested: bool = False) -> AsyncGenerator[anyio.abc.TaskGroup]:
    """A task group that does not change what the block raises: one exception comes out as itself.

    Args:
        nested: whether it is taken out of groups inside the group too; else those come out as they are.
    """
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        alone = _alone(group)
        while nested and isinstance(alone, BaseExceptionGroup):
            inner = _alone(cast("BaseExceptionGroup[BaseException]", alone))
            if inner is None:
                break
            alone = inner
        if alone is None:
            raise
        raise alone from None


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The only exception of a group; None where there are more."""
    return group.exceptions[0] if len(group.exceptions) == 1 else None
