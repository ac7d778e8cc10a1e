"""A relevance by embeddings that runs, and what it is asked about."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.ai.ollama import OllamaProvider
from tool_router.ai.relevance import EmbedRelevance
from tool_router.ai.vectors import tool_texts
from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog

TOOLS = (
    a_tool("read_file", "files", "Read the whole content of a file from disk"),
    a_tool("convert_time", "time", "Convert a time between two time zones"),
    a_tool("create_issue", "github", "Open a new issue in a repository"),
)
CATALOG = a_catalog(*TOOLS)
TEXTS_OF_TOOLS = {text for tool in TOOLS for text in tool_texts(tool)}
TASK = "convert the time of the meeting to the time zone of Tokyo"


def many(count: int) -> Catalog:
    return a_catalog(
        *(a_tool(f"tool_{number}", description=f"does thing {number}") for number in range(count))
    )


@asynccontextmanager
async def running(
    url: str, path: Path | None = None, *, query_timeout_s: float = 5.0
) -> AsyncGenerator[EmbedRelevance]:
    async with Store.open(path) as store, anyio.create_task_group() as tasks:
        relevance = EmbedRelevance(
            OllamaProvider(url), store, query_timeout_s=query_timeout_s, jitter=lambda: 0.0
        )
        tasks.start_soon(relevance.run)
        yield relevance
        tasks.cancel_scope.cancel()
