"""An Ollama host in the test's event loop: real HTTP, Ollama's routes, shapes and error texts.

It has no model, but a `Brain` that stands in for one. Vectors are hashed word and letter n-grams, so that
texts which share words or parts of words are near each other, and equal texts have equal vectors every time.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.support.chat_brain import Brain
from tests.support.loopback import FaultyApp, serve

VERSION = "0.12.6"
_STAMP = "2025-10-01T12:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class Model:
    """A pulled model."""

    name: str
    dimension: int = 256
    capabilities: tuple[str, ...] = ("embedding",)
    family: str = "bert"
    weights: str = "1"
    size: int = 45_960_996
    parameter_size: str = "23M"
    vram: int = 0
    """`weights`: pull it again with others, and its digest and its vectors change. `vram`: what it takes of a
    GPU once it is loaded."""

    @property
    def digest(self) -> str:
        """As in `/api/tags`."""
        return hashlib.sha256(f"{self.name}\0{self.weights}".encode()).hexdigest()


def chat_model(
    name: str = "qwen2.5:0.5b",
    *,
    capabilities: tuple[str, ...] = ("completion", "tools"),
    size: int = 397_821_319,
    parameter_size: str = "494.03M",
    weights: str = "1",
) -> Model:
    """A model that answers prompts; small enough for any machine."""
    return Model(
        name,
        capabilities=capabilities,
        family="qwen2",
        size=size,
        parameter_size=parameter_size,
        weights=weights,
    )


def vector_of(text: str, model: Model) -> list[float]:
    """A unit vector of hashed n-grams."""
    words = re.findall(r"\w+", text.lower())
    grams = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    grams += [f"#{word}#"[i : i + 4] for word in words for i in range(max(1, len(word) - 1))]
    values = [0.0] * model.dimension
    for gram in grams or [""]:
        digest = hashlib.blake2b(f"{model.weights}\0{gram}".encode(), digest_size=8).digest()
        number = int.from_bytes(digest)
        values[number % model.dimension] += 1.0 if number >> 63 else -1.0
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]


Vectors = list[list[float]]


def fewer(vectors: Vectors) -> Vectors:
    """One vector less than was asked for."""
    return vectors[:-1]


def shorter(vectors: Vectors) -> Vectors:
    """Vectors of another length than the model's."""
    return [vector[:-3] for vector in vectors]


def ragged(vectors: Vectors) -> Vectors:
    """Vectors that differ in length."""
    return [vector[: len(vector) - place] for place, vector in enumerate(vectors, start=1)]


def empty(vectors: Vectors) -> Vectors:
    """Vectors without values."""
    return [[] for _ in vectors]


def zeros(vectors: Vectors) -> Vectors:
    """Vectors that point nowhere."""
    return [[0.0] * len(vector) for vector in vectors]


def not_numbers(vectors: Vectors) -> Vectors:
    """Vectors with NaN, which Python's JSON writes although JSON has no such thing."""
    return [[math.nan, *vector[1:]] for vector in vectors]


@dataclass(eq=False)
class OllamaServer:
    """What the host has and how it misbehaves; change it while it runs.

    Attributes:
        models: the pulled models.
        spoil: makes wrong vectors out of right ones; None leaves them.
        poison: a text that holds one of these words can't be embedded.
        hold: while set, `/api/embed` answers only when this event is set.
        embedding: set when a request for vectors has arrived.
        loaded: names of the models in memory; a request loads the model it names.
        loading: while set, a chat model is loaded only when this event is set.
        hold_chat: while set, prompts are answered only when this event is set.
        asked: set when a request for a chat has arrived.
        logprobs: whether the host gives log probabilities; those before 0.12.11 do not.
        brain: answers prompts.
        traffic: records every request; its `faults` answer paths badly (see `loopback`).
    """

    models: list[Model] = field(default_factory=lambda: [Model("all-minilm:latest")])
    spoil: Callable[[Vectors], Vectors] | None = None
    poison: set[str] = field(default_factory=set[str])
    hold: anyio.Event | None = None
    embedding: anyio.Event = field(default_factory=anyio.Event)
    loaded: set[str] = field(default_factory=set[str])
    loading: anyio.Event | None = None
    hold_chat: anyio.Event | None = None
    asked: anyio.Event = field(default_factory=anyio.Event)
    logprobs: bool = True
    brain: Brain = field(default_factory=Brain)
    traffic: FaultyApp = field(init=False)
    url: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        routes = [
            Route("/", self._root, methods=["GET", "HEAD"]),
            Route("/api/version", self._version),
            Route("/api/tags", self._tags),
            Route("/api/ps", self._ps),
            Route("/api/show", self._show, methods=["POST"]),
            Route("/api/embed", self._embed, methods=["POST"]),
            Route("/api/chat", self._chat, methods=["POST"]),
            Route("/{path:path}", _no_route),
        ]
        self.traffic = FaultyApp(Starlette(routes=routes))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[OllamaServer]:
        """Listen until the block is left; a second time on the same port, as a restarted host does."""
        async with AsyncExitStack() as stack:
            loopback = await stack.enter_async_context(serve(self.traffic, self.port))
            self.url = loopback.url
            self.port = int(loopback.url.rsplit(":", 1)[1])
            yield self

    @property
    def embedded(self) -> list[str]:
        """Every text that vectors were asked for, in order."""
        texts: list[str] = []
        for request in self.traffic.arrived("/api/embed"):
            given = request.message["input"]
            texts += [given] if isinstance(given, str) else given
        return texts

    def _find(self, name: str) -> Model | None:
        full = name if ":" in name else f"{name}:latest"
        return next((model for model in self.models if model.name.lower() == full.lower()), None)

    async def _root(self, request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def _version(self, request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def _tags(self, request: Request) -> Response:
        return JSONResponse({"models": [_listed(model) for model in self.models]})

    async def _ps(self, request: Request) -> Response:
        loaded = [
            {**_listed(model), "expires_at": _STAMP, "size_vram": model.vram, "context_length": 256}
            for model in self.models
            if model.name in self.loaded
        ]
        return JSONResponse({"models": loaded})

    async def _show(self, request: Request) -> Response:
        asked = await request.json()
        name = str(asked.get("model") or asked.get("name") or "")
        model = self._find(name)
        if model is None:
            return _error(404, f"model '{name}' not found")
        return JSONResponse(
            {
                "modelfile": f"FROM {model.name}",
                "template": "{{ .Prompt }}",
                "details": _details(model),
                "model_info": {f"{model.family}.embedding_length": model.dimension},
                "capabilities": list(model.capabilities),
                "modified_at": _STAMP,
            }
        )

    async def _embed(self, request: Request) -> Response:
        asked = await request.json()
        self.embedding.set()
        if self.hold is not None:
            await self.hold.wait()
        name, given = str(asked.get("model", "")), asked.get("input", [])
        model = self._find(name)
        if model is None:
            return _error(404, f'model "{name}" not found, try pulling it first')
        if "embedding" not in model.capabilities:
            return _error(501, "This server does not support embeddings. Start it with `--embeddings`")
        texts: Sequence[str] = [given] if isinstance(given, str) else given
        if any(word in text for word in self.poison for text in texts):
            return _error(400, "embedding contains NaN or Inf values")
        self.loaded.add(model.name)
        vectors = [vector_of(text, model) for text in texts]
        body = {
            "model": name,
            "embeddings": self.spoil(vectors) if self.spoil else vectors,
            "total_duration": 14_143_917,
            "load_duration": 1_019_500,
            "prompt_eval_count": sum(len(text.split()) for text in texts),
        }
        return Response(json.dumps(body), media_type="application/json; charset=utf-8")

    async def _chat(self, request: Request) -> Response:
        asked = await request.json()
        self.asked.set()
        name = str(asked.get("model", ""))
        model = self._find(name)
        if model is None:
            return _error(404, f"model '{name}' not found")
        if "completion" not in model.capabilities:
            return _error(400, f'"{name}" does not support chat')
        if asked.get("stream") is not False:
            return _error(400, "this server does not stream")
        if model.name not in self.loaded and self.loading is not None:
            await self.loading.wait()
        self.loaded.add(model.name)
        said = {"message": {"role": "assistant", "content": ""}, "done_reason": "load"}
        if asked.get("messages"):
            if self.hold_chat is not None:
                await self.hold_chat.wait()
            said = self._said(asked)
        body = {"model": name, "created_at": _STAMP, **said, "done": True}
        return Response(json.dumps(body), media_type="application/json; charset=utf-8")

    def _said(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        prompt = "\n".join(message["content"] for message in asked["messages"])
        schema = asked.get("format")
        text = self.brain.structured(prompt, schema) if schema else self.brain.plain(prompt)
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "done_reason": "stop"}
        if asked.get("logprobs") and self.logprobs:
            tokens = self.brain.first_tokens(prompt, int(asked.get("top_logprobs", 0)) or 1)
            entries = [
                {"token": token, "logprob": logprob, "bytes": list(token.encode())}
                for token, logprob in tokens
            ]
            said["logprobs"] = [{**entries[0], "top_logprobs": entries}]
        return said


async def _no_route(request: Request) -> Response:
    return PlainTextResponse("404 page not found", 404)


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


def _details(model: Model) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": "F16",
    }


def _listed(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": _STAMP,
        "size": model.size,
        "digest": model.digest,
        "details": _details(model),
    }
