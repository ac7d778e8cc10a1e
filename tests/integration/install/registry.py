"""A package registry on the loopback interface: npm's and PyPI's protocols, one small MCP server in each."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NPM_NAME = "@demo/pinned-server"
PYPI_NAME = "pinned-server"
VERSION = "1.0.0"

NODE_SERVER = """\
#!/usr/bin/env node
const lines = require('readline').createInterface({ input: process.stdin });
const tool = (name) => ({ name, description: `Does ${name}.`, inputSchema: { type: 'object' } });
const answer = (request) => {
  switch (request.method) {
    case 'initialize':
      return { result: { protocolVersion: request.params.protocolVersion, capabilities: { tools: {} },
                         serverInfo: { name: 'demo', version: '1.0.0' } } };
    case 'tools/list':
      return { result: (request.params || {}).cursor ? { tools: [tool('second')] }
                                                    : { tools: [tool('first')], nextCursor: 'more' } };
    default:
      return { error: { code: -32601, message: 'no such method' } };
  }
};
lines.on('line', (line) => {
  const request = JSON.parse(line);
  if (request.id !== undefined)
    process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id: request.id, ...answer(request) }) + '\\n');
});
"""

PYTHON_SERVER = """\
import json
import os
import sys

if "DEMO_KEY" in os.environ and not os.environ["DEMO_KEY"]:
    sys.exit("the key is empty")


def tool(name):
    return {"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object"}}


def answer(request):
    params = request.get("params") or {}
    match request["method"]:
        case "initialize":
            return {"result": {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                               "serverInfo": {"name": "demo", "version": "1.0.0"}}}
        case "tools/list":
            return {"result": {"tools": [tool("second")]} if params.get("cursor") else
                    {"tools": [tool("first")], "nextCursor": "more"}}
        case _:
            return {"error": {"code": -32601, "message": "no such method"}}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer(request)}), flush=True)
"""


def npm_archive(*, script: bool = False) -> bytes:
    """The npm package's archive; with an install script that makes ``~/ran`` when `script` is set."""
    package = {"name": NPM_NAME, "version": VERSION, "bin": {"pinned-server": "dist/server.js"}}
    if script:
        package["scripts"] = {
            "install": "node -e \"require('fs').writeFileSync(process.env.HOME + '/ran', '')\""
        }
    files = {"package/package.json": json.dumps(package), "package/dist/server.js": NODE_SERVER}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


def pypi_wheel() -> bytes:
    """The Python package's wheel."""
    info = f"pinned_server-{VERSION}.dist-info"
    files = {
        "pinned_server/__init__.py": PYTHON_SERVER,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PYPI_NAME}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\npinned-server = pinned_server:main\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return raw.getvalue()


def npm_integrity(archive: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()


def pypi_integrity(wheel: bytes) -> str:
    return "sha256:" + hashlib.sha256(wheel).hexdigest()


@dataclass
class Registry:
    """A running registry.

    Attributes:
        requests: paths in the order they were asked for.
        archive_wanted: set when an archive is asked for.
        deliver: archives are delivered once this is set; set from the start.
    """

    port: int = 0
    npm: bytes = field(default_factory=npm_archive)
    pypi: bytes = field(default_factory=pypi_wheel)
    npm_has_script: bool = False
    requests: list[str] = field(default_factory=list[str])
    archive_wanted: threading.Event = field(default_factory=threading.Event)
    deliver: threading.Event = field(default_factory=threading.Event)

    @property
    def archives_delivered(self) -> int:
        return sum(path.endswith((".tgz", ".whl")) for path in self.requests)

    def environ(self, base: dict[str, str], scratch: Path) -> dict[str, str]:
        """An environment whose npm and pip know only this registry, and have empty caches."""
        address = f"http://127.0.0.1:{self.port}"
        inherited = {
            name: value
            for name, value in base.items()
            if not name.lower().startswith(("npm_config_", "pip_", "uv_"))
        }
        return inherited | {
            "HOME": str(scratch),
            "npm_config_registry": f"{address}/npm/",
            "npm_config_userconfig": str(scratch / "no-user-npmrc"),
            "npm_config_globalconfig": str(scratch / "no-global-npmrc"),
            "npm_config_cache": str(scratch / "npm-cache"),
            "npm_config_fetch_retries": "0",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": f"{address}/simple/",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Content type and body of a path; None when there is nothing."""
        if path.lower() in (f"/npm/{NPM_NAME.replace('/', '%2f')}", f"/npm/{NPM_NAME}"):
            return "application/json", json.dumps(self._npm_document()).encode()
        if path == f"/simple/{PYPI_NAME}/":
            wheel = f"pinned_server-{VERSION}-py3-none-any.whl"
            digest = hashlib.sha256(self.pypi).hexdigest()
            return "text/html", f'<html><a href="/{wheel}#sha256={digest}">{wheel}</a></html>'.encode()
        if path.endswith((".tgz", ".whl")):
            self.archive_wanted.set()
            self.deliver.wait(60)
            return "application/octet-stream", self.npm if path.endswith(".tgz") else self.pypi
        return None

    def _npm_document(self) -> object:
        version = {
            "name": NPM_NAME,
            "version": VERSION,
            "bin": {"pinned-server": "dist/server.js"},
            "hasInstallScript": self.npm_has_script,
            "dist": {
                "tarball": f"http://127.0.0.1:{self.port}/pinned-server.tgz",
                "integrity": npm_integrity(self.npm),
            },
        }
        return {"name": NPM_NAME, "dist-tags": {"latest": VERSION}, "versions": {VERSION: version}}


@contextmanager
def serve_registry() -> Generator[Registry]:
    """Run a registry until the block is left."""
    registry = Registry()
    registry.deliver.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.requests.append(self.path)
            found = registry.answer(self.path)
            kind, body = found or ("text/plain", b"nothing here")
            try:
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        registry.deliver.set()
        server.shutdown()
        server.server_close()
        thread.join()
