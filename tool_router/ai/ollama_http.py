"""Requests to one Ollama host, with every way to fail turned into a ProviderError.

Imports ollama and httpx, which takes a few hundred milliseconds: `ollama.py` loads it in a worker thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import httpx
import numpy as np
import ollama

from tool_router.ai.families import SUGGESTED
from tool_router.ai.hardware import Loaded
from tool_router.ai.labels import MOST_ALTERNATIVES
from tool_router.ai.models import Pulled
from tool_router.ai.provider import Prompt, Vectors
from tool_router.errors import ProviderError

LIMIT_S = 120.0
"""The longest any request may take, whatever its caller allows: loading a large model from a slow disk."""

_CONNECT_S = 5.0
_KEEP_ALIVE = "30m"
"""How long the host keeps the model loaded after a request. Its default of five minutes would let the first
task after every pause wait for the model, longer than a request can."""

_PAST_PROXIES = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
"""A proxy from the environment can't reach this machine's loopback interface."""

_SHOWN = 200
_MOST_WRITTEN = 1_024
"""Tokens of a structured answer: arguments and scores are short, and a model may never stop."""

T = TypeVar("T")


class OllamaHttp:
    """One Ollama host."""

    def __init__(self, host: str) -> None:
        """Prepare a client; nothing is sent.

        Args:
            host: as in OLLAMA_HOST; empty takes that variable, then Ollama's default.

        Raises:
            ValueError: the address can't be read.
        """
        timeout = httpx.Timeout(LIMIT_S, connect=_CONNECT_S)
        self._client = ollama.AsyncClient(host or None, timeout=timeout, mounts=_PAST_PROXIES)
        # The client's own signature holds a bare Callable, which strict typing takes for unknown.
        self._chat: Callable[..., Awaitable[ollama.ChatResponse]] = cast("Any", self._client).chat

    async def pulled(self) -> list[Pulled]:
        """The models the host has.

        Raises:
            ProviderError: it could not be asked.
        """
        listing = await self._asked(self._client.list())
        return [
            Pulled(
                entry.model,
                entry.digest or "",
                int(entry.size or 0),
                (entry.details.parameter_size if entry.details else "") or "",
            )
            for entry in listing.models
            if entry.model
        ]

    async def loaded(self) -> list[Loaded]:
        """The models the host has in memory, and how much of its GPU they take.

        Raises:
            ProviderError: it could not be asked.
        """
        listing = await self._asked(self._client.ps())
        return [
            Loaded(entry.model or entry.name or "", int(entry.size_vram or 0)) for entry in listing.models
        ]

    async def capabilities(self, name: str) -> frozenset[str]:
        """What the host says that a model can do; nothing when it does not say.

        Raises:
            ProviderError: it could not be asked.
        """
        shown = await self._asked(self._client.show(name), name)
        return frozenset(shown.capabilities or ())

    async def embed(self, texts: Sequence[str], name: str) -> Vectors:
        """One finite vector for each text.

        Raises:
            ProviderError: refused, timeout, model_missing, malformed or http_<status>.
        """
        request = self._client.embed(model=name, input=list(texts), keep_alive=_KEEP_ALIVE)
        answer = await self._asked(request, name)
        try:
            vectors = np.asarray(answer.embeddings, np.float32)
        except (ValueError, TypeError, OverflowError) as error:
            raise ProviderError("malformed", "Ollama's vectors differ in length.") from error
        if len(vectors) != len(texts):
            raise ProviderError("malformed", f"Ollama gave {len(vectors)} vectors for {len(texts)} texts.")
        if vectors.ndim != 2 or not vectors.shape[1]:
            raise ProviderError("malformed", "Ollama gave empty vectors.")
        if not np.isfinite(vectors).all():
            raise ProviderError("malformed", "Ollama's vectors hold values that are no numbers.")
        return vectors

    async def load(self, name: str) -> None:
        """Load a chat model into memory: what a chat without messages is for.

        Raises:
            ProviderError: refused, timeout, model_missing, malformed or http_<status>.
        """
        await self._asked(self._chat(name, [], keep_alive=_KEEP_ALIVE), name)

    async def first_token(self, prompt: Prompt, name: str) -> list[tuple[str, float]]:
        """The likeliest first tokens of an answer with their log probabilities.

        Raises:
            ProviderError: unsupported, where the host gives none; else as `load`.
        """
        request = self._chat(
            name,
            _messages(prompt),
            logprobs=True,
            top_logprobs=MOST_ALTERNATIVES,
            think=False,
            options={"num_predict": 1, "temperature": 0.0},
            keep_alive=_KEEP_ALIVE,
        )
        answer = await self._asked(request, name)
        if not answer.logprobs:
            raise ProviderError(
                "unsupported", "This Ollama gives no log probabilities.", "Update it to 0.12.11 or later."
            )
        first = answer.logprobs[0]
        alternatives = first.top_logprobs or [first]
        return [(entry.token, entry.logprob) for entry in alternatives]

    async def structured(self, prompt: Prompt, schema: Mapping[str, Any], name: str) -> str:
        """The text of an answer that the host keeps to a JSON Schema.

        Raises:
            ProviderError: as `load`.
        """
        request = self._chat(
            name,
            _messages(prompt),
            format=dict(schema),
            think=False,
            options={"num_predict": _MOST_WRITTEN, "temperature": 0.0},
            keep_alive=_KEEP_ALIVE,
        )
        answer = await self._asked(request, name)
        return answer.message.content or ""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _asked(self, answer: Awaitable[T], model: str = "") -> T:
        try:
            return await answer
        except ollama.ResponseError as error:
            raise _of_status(error, model) from error
        except (ConnectionError, httpx.ConnectError) as error:
            raise ProviderError(
                "refused", "Ollama refused the connection.", "Start it: `ollama serve`."
            ) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            raise ProviderError("timeout", "Ollama did not answer in time.") from error
        # What the client makes of an answer that is no JSON, or JSON of another shape.
        except (httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ProviderError(
                "malformed",
                f"Ollama's answer can't be read ({type(error).__name__}).",
                "Is it an Ollama host?",
            ) from error


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]


def _of_status(error: ollama.ResponseError, model: str) -> ProviderError:
    said = " ".join(str(error.error).split())[:_SHOWN]
    # A missing route is a 404 as well, of an Ollama before 0.3.4 or of something else: it names no model.
    if error.status_code == 404 and "model" in said:
        return ProviderError(
            "model_missing", f"Ollama does not have {model}.", f"Run `ollama pull {model or SUGGESTED}`."
        )
    if error.status_code == 400 and "does not support" in said:
        return ProviderError("unsupported", f"Ollama answered 400: {said}.")
    return ProviderError(f"http_{error.status_code}", f"Ollama answered {error.status_code}: {said}.")
