"""Requests to one endpoint that speaks OpenAI's protocol, with every failure as a ProviderError.

Imports httpx, which takes a few hundred milliseconds: `openai.py` loads it in a worker thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from tool_router.ai.openai_answer import error_text
from tool_router.errors import ProviderError
from tool_router.telemetry.redaction import Redactor

LIMIT_S = 120.0
"""The longest any request may take, whatever its caller allows."""

_CONNECT_S = 5.0
_LONGEST_BODY = 64 * 2**20
_SHOWN = 200

_PAST_PROXIES = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
"""A proxy from the environment can't reach this machine's loopback interface."""


class Refused(ProviderError):
    """The endpoint answered 400 or 422: something in the request is not to its liking.

    Attributes:
        said: its words.
    """

    def __init__(self, status: int, host: str, said: str) -> None:
        super().__init__(f"http_{status}", f"{host} answered {status}: {said[:_SHOWN]}.")
        self.said = said


class OpenAIHttp:
    """One endpoint.

    Args:
        url: its base, up to and with ``/v1``.
        key: sent as a bearer token; none when empty. It is taken out of whatever an error quotes.

    Raises:
        ValueError: the address can't be read.
    """

    def __init__(self, url: str, key: SecretStr) -> None:
        base = httpx.URL(url.rstrip("/"))
        if not base.host:
            raise ValueError("the address names no host")
        self.host = base.host
        self._key = key
        self._redactor = Redactor([key.get_secret_value()] if key.get_secret_value() else [])
        mounts: Mapping[str, None] = _PAST_PROXIES
        self._client = httpx.AsyncClient(
            base_url=base, timeout=httpx.Timeout(LIMIT_S, connect=_CONNECT_S), mounts=mounts
        )

    async def get(self, path: str) -> Any:
        """The JSON answer to a GET.

        Raises:
            ProviderError: refused, timeout, malformed, model_missing or http_<status>.
        """
        return await self._sent("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST.

        Raises:
            Refused: 400 or 422.
            ProviderError: refused, timeout, malformed, model_missing or http_<status>.
        """
        return await self._sent("POST", path, body)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _sent(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        key = self._key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            response = await self._client.request(method, path, json=body, headers=headers)
        except httpx.ConnectError:
            raise ProviderError(
                "refused", f"{self.host} refused the connection.", "Is the address right?"
            ) from None
        except httpx.TimeoutException:
            raise ProviderError("timeout", f"{self.host} did not answer in time.") from None
        # Not chained: the client's errors hold the request, and that holds the key.
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ProviderError(
                "malformed", f"{self.host} broke the request off ({type(error).__name__})."
            ) from None
        if response.status_code >= 300:
            raise self._error(response)
        if len(response.content) > _LONGEST_BODY:
            raise ProviderError("malformed", f"The answer of {self.host} is too long.")
        return self._json(response)

    def _error(self, response: httpx.Response) -> ProviderError:
        status = response.status_code
        try:
            said = self._redactor.text(error_text(json.loads(response.content)))
        except (ValueError, RecursionError):
            said = ""
        if status in (400, 422):
            return Refused(status, self.host, said)
        if status == 404 and "model" in said.lower():
            return ProviderError(
                "model_missing", f"{self.host} does not have that model: {said[:_SHOWN]}.", "Check the model."
            )
        next_step = {401: "Check the key.", 403: "Check the key.", 404: "Check the url."}.get(status, "")
        return ProviderError(
            f"http_{status}",
            f"{self.host} answered {status}{f': {said[:_SHOWN]}' if said else ''}.",
            next_step,
        )

    def _json(self, response: httpx.Response) -> Any:
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError):
            raise ProviderError(
                "malformed", f"The answer of {self.host} is no JSON.", "Is it an OpenAI-compatible endpoint?"
            ) from None
