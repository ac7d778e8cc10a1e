"""Background tasks of a context that should not be seen from outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import anyio.abc


@asynccontextmanager
async def plain_task_group() -> AsyncGenerator[anyio.abc.TaskGroup]:
    """A task group that does not change what the block raises.

    One exception comes out as itself, from groups inside groups too.
    """
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        if (alone := _alone(group)) is not None:
            raise alone from None
        raise


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The only exception of a group, itself no group; None where there are more."""
    if len(group.exceptions) != 1:
        return None
    (inner,) = group.exceptions
    if isinstance(inner, BaseExceptionGroup):
        return _alone(cast("BaseExceptionGroup[BaseException]", inner))
    return inner
