"""An endpoint that speaks OpenAI's protocol, in the test's event loop: real HTTP, its shapes and errors."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.chat_brain import Brain, votes
from tests.support.loopback import FaultyApp, serve
from tests.support.ollama_server import Model, Vectors, vector_of


@dataclass(eq=False)
class OpenAIServer:
    """What the endpoint has and how it differs from OpenAI's; change it while it runs.

    Attributes:
        key: the only key it accepts; empty accepts every request.
        models: ids, of which those with "embed" in them embed.
        refuses: parameters it does not take, and what it says to a request that has them.
        logprobs: whether it gives log probabilities.
        keeps_schema: whether it keeps to a schema; Anthropic's endpoint ignores it and may fence its JSON.
        spoil: makes wrong vectors out of right ones.
        hold: while set, nothing is answered before this event is set.
    """

    key: str = ""
    models: list[str] = field(default_factory=lambda: ["text-embedding-small", "chat-small"])
    refuses: dict[str, str] = field(default_factory=dict[str, str])
    logprobs: bool = True
    keeps_schema: bool = True
    spoil: Callable[[Vectors], Vectors] | None = None
    hold: anyio.Event | None = None
    brain: Brain = field(default_factory=Brain)
    traffic: FaultyApp = field(init=False)
    url: str = ""

    def __post_init__(self) -> None:
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/embeddings", self._embeddings, methods=["POST"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        self.traffic = FaultyApp(Starlette(routes=routes))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[OpenAIServer]:
        """Listen until the block is left."""
        async with serve(self.traffic) as loopback:
            self.url = f"{loopback.url}/v1"
            yield self

    async def _refused(self, request: Request) -> Response | None:
        """What keeps a request from being answered, or None."""
        if self.hold is not None:
            await self.hold.wait()
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key and given != self.key:
            # OpenAI itself quotes the beginning and the end; some compatible servers the whole.
            return _error(401, f"Incorrect API key provided: {given}.", None)
        if request.method == "POST":
            asked = await request.json()
            for name, said in self.refuses.items():
                if name in asked:
                    return _error(400, said, name)
            if asked.get("model") not in self.models:
                said = f"The model `{asked.get('model')}` does not exist or you do not have access to it."
                return _error(404, said, None)
        return None

    async def _models(self, request: Request) -> Response:
        entries = [{"id": name, "object": "model", "owned_by": "test"} for name in self.models]
        return await self._refused(request) or JSONResponse({"object": "list", "data": entries})

    async def _embeddings(self, request: Request) -> Response:
        if refused := await self._refused(request):
            return refused
        asked = await request.json()
        vectors = [vector_of(text, Model(asked["model"])) for text in asked["input"]]
        given = self.spoil(vectors) if self.spoil else vectors
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(given)]
        # The order is not promised, the index is.
        body = {"object": "list", "data": data[::-1], "model": asked["model"]}
        return Response(json.dumps(body), media_type="application/json")

    async def _chat(self, request: Request) -> Response:
        if refused := await self._refused(request):
            return refused
        asked = await request.json()
        prompt = "\n".join(message["content"] for message in asked["messages"])
        schema = asked.get("response_format", {}).get("json_schema", {}).get("schema")
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
        if "logprobs" in asked:
            text = self.brain.plain(prompt)
            if self.logprobs:
                tokens = self.brain.first_tokens(prompt, asked.get("top_logprobs", 0) or 1)
                entries = [
                    {"token": token, "logprob": logprob, "bytes": list(token.encode())}
                    for token, logprob in tokens
                ]
                choice["logprobs"] = {"content": [{**entries[0], "top_logprobs": entries}]}
        else:
            text = self.brain.structured(prompt, schema or _letters(prompt))
            if not self.keeps_schema:
                text = f"Here is what I found:\n```json\n{text}\n```"
        choice["message"] = {"role": "assistant", "content": text}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "model": asked["model"], "choices": [choice]}
        return Response(json.dumps(body), media_type="application/json")


def _letters(prompt: str) -> dict[str, Any]:
    """A schema for the ballot in a prompt, for an endpoint that was not given one."""
    return {"properties": {letter: {"type": "number"} for letter in votes(prompt)}}


def _error(status: int, said: str, parameter: str | None) -> Response:
    error = {"message": said, "type": "invalid_request_error", "param": parameter, "code": None}
    return JSONResponse({"error": error}, status)
