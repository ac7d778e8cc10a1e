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
from collections.abc import Generator, Sequence
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


def npm_archive(*, script: bool = False, name: str = NPM_NAME, version: str = VERSION) -> bytes:
    """An npm package's archive; with an install script that makes ``~/ran`` when `script` is set."""
    package = {"name": name, "version": version, "bin": {name.rpartition("/")[2]: "dist/server.js"}}
    if script:
        package["scripts"] = {
            "install": "node -e \"require('fs').writeFileSync(process.env.HOME + '/ran', '')\""
        }
    files = {"package/package.json": json.dumps(package), "package/dist/server.js": NODE_SERVER}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


def pypi_wheel(name: str = PYPI_NAME, version: str = VERSION, requires: Sequence[str] = ()) -> bytes:
    """A Python package's wheel."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    files = {
        f"{module}/__init__.py": PYTHON_SERVER,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return raw.getvalue()


def npm_file(name: str, version: str) -> str:
    return f"{name.rpartition('/')[2]}-{version}.tgz"


def wheel_file(name: str, version: str) -> str:
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def npm_integrity(archive: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()


def pypi_integrity(wheel: bytes) -> str:
    return "sha256:" + hashlib.sha256(wheel).hexdigest()


@dataclass
class Registry:
    """A running registry.

    Attributes:
        more_npm, more_pypi: further packages' archives, by name and version.
        requests: paths in the order they were asked for.
        archive_wanted: set when an archive is asked for.
        deliver: archives are delivered once this is set; set from the start.
    """

    port: int = 0
    npm: bytes = field(default_factory=npm_archive)
    pypi: bytes = field(default_factory=pypi_wheel)
    npm_has_script: bool = False
    more_npm: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])
    more_pypi: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])
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
        archives = {
            **{f"/{npm_file(*key)}": archive for key, archive in self._npm_packages().items()},
            **{f"/{wheel_file(*key)}": wheel for key, wheel in self._pypi_packages().items()},
        }
        if path in archives:
            self.archive_wanted.set()
            self.deliver.wait(60)
            return "application/octet-stream", archives[path]
        kind, _, asked = path.strip("/").lower().replace("%2f", "/").partition("/")
        if kind == "npm" and any(name == asked for name, _ in self._npm_packages()):
            return "application/json", json.dumps(self._npm_document(asked)).encode()
        wheels = [key for key in self._pypi_packages() if key[0] == asked]
        if kind == "simple" and wheels:
            links = "".join(self._link(*key) for key in wheels)
            return "text/html", f"<html>{links}</html>".encode()
        return None

    def _npm_packages(self) -> dict[tuple[str, str], bytes]:
        return {(NPM_NAME, VERSION): self.npm, **self.more_npm}

    def _pypi_packages(self) -> dict[tuple[str, str], bytes]:
        return {(PYPI_NAME, VERSION): self.pypi, **self.more_pypi}

    def _link(self, name: str, version: str) -> str:
        file = wheel_file(name, version)
        digest = hashlib.sha256(self._pypi_packages()[name, version]).hexdigest()
        return f'<a href="/{file}#sha256={digest}">{file}</a>'

    def _npm_document(self, asked: str) -> object:
        versions = {
            version: {
                "name": name,
                "version": version,
                "bin": {name.rpartition("/")[2]: "dist/server.js"},
                "hasInstallScript": self.npm_has_script,
                "dist": {
                    "tarball": f"http://127.0.0.1:{self.port}/{npm_file(name, version)}",
                    "integrity": npm_integrity(archive),
                },
            }
            for (name, version), archive in self._npm_packages().items()
            if name == asked
        }
        return {"name": asked, "dist-tags": {"latest": max(versions)}, "versions": versions}


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
