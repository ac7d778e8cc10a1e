"""Reads ContextForge's catalog whole, whatever its page size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tool_router.errors import GatewayProtocolError, GatewayRejected
from tool_router.gateway.json_http import Answer, JsonHttp
from tool_router.gateway.json_value import as_list, as_object

PAGE_ROWS = 500
"""The largest page ContextForge gives; it clamps more, silently."""

MAX_ROWS = 100_000
"""A catalog with more rows is a gateway that never ends."""

_PATHS = ("/v1/tools", "/tools")
"""Newest first; older releases have only the second."""


@dataclass(frozen=True, slots=True)
class _Page:
    rows: Sequence[Mapping[str, Any]]
    next_cursor: str
    etag: str = ""


class ContextForgeCatalog:
    """The rows of ``GET /tools``.

    Args:
        http: the gateway's client.
    """

    def __init__(self, http: JsonHttp) -> None:
        self._http = http
        self._path = ""
        self._pages: dict[str, _Page] = {}
        """By cursor, those of the last reading that had an ETag."""

    async def rows(self) -> list[Mapping[str, Any]]:
        """Every row once, the disabled ones too.

        Raises:
            GatewayError: they could not be read whole.
        """
        found: dict[str, Mapping[str, Any]] = {}
        kept: dict[str, _Page] = {}
        cursor = ""
        while True:
            page = await self._page(cursor)
            if page.etag:
                kept[cursor] = page
            before = len(found)
            for row in page.rows:
                found.setdefault(_row_key(row, len(found)), row)
            if not page.next_cursor:
                self._pages = kept
                return list(found.values())
            # An expired cursor makes ContextForge start again at the first page, silently.
            if len(found) == before or page.next_cursor == cursor or len(found) > MAX_ROWS:
                raise GatewayProtocolError(
                    f"The catalog of {self._http.url} never ends: its pages repeat after {len(found)} tools.",
                    "It may be changing just now: the next refresh tries again.",
                )
            cursor = page.next_cursor

    async def row(self, row_id: str) -> Mapping[str, Any] | None:
        """One row as it is now; None when the gateway has it no more.

        Raises:
            GatewayError: it could not be read.
        """
        try:
            answer = await self._http.get(f"{self._path or _PATHS[0]}/{row_id}")
        except GatewayRejected as error:
            if error.status == 404:
                return None
            raise
        return as_object(answer.value)

    async def probe(self) -> None:
        """Read one row, to learn whether the token may.

        Raises:
            GatewayError: it could not be read.
        """
        await self._get({"limit": "1", "include_pagination": "true"}, "")

    async def _page(self, cursor: str) -> _Page:
        # Without include_inactive a disabled tool is not listed, and would be unknown instead of disabled.
        params = {"include_pagination": "true", "include_inactive": "true", "limit": str(PAGE_ROWS)}
        if cursor:
            params["cursor"] = cursor
        known = self._pages.get(cursor)
        answer = await self._get(params, known.etag if known else "")
        if answer.unchanged and known is not None:
            return known
        if isinstance(answer.value, list):
            # A release that does not page on request: its bare list stops at 50, and limit=0 gives all.
            answer = await self._get({"include_inactive": "true", "limit": "0"}, "")
        return self._read(answer)

    async def _get(self, params: Mapping[str, str], etag: str) -> Answer:
        if self._path:
            return await self._http.get(self._path, params, if_none_match=etag)
        for path in _PATHS[:-1]:
            try:
                answer = await self._http.get(path, params, if_none_match=etag)
            except GatewayRejected as error:
                if error.status != 404:
                    raise
            else:
                self._path = path
                return answer
        answer = await self._http.get(_PATHS[-1], params, if_none_match=etag)
        self._path = _PATHS[-1]
        return answer

    def _read(self, answer: Answer) -> _Page:
        fields = as_object(answer.value) or {"tools": answer.value}
        cursor = fields.get("nextCursor")
        entries = as_list(fields.get("tools"))
        if entries is None:
            raise GatewayProtocolError(
                f"{self._http.url}{self._path} was answered with JSON that holds no list of tools.",
                "See whether gateway.url is ContextForge: another program may listen there.",
            )
        rows = [row for row in map(as_object, entries) if row is not None]
        return _Page(rows, cursor if isinstance(cursor, str) else "", answer.etag)


def _row_key(row: Mapping[str, Any], position: int) -> str:
    """What tells a row from one that came again: its id; a row without one is always new."""
    row_id = row.get("id")
    return row_id if isinstance(row_id, str) and row_id else f"row {position}"
