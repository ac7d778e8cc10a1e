"""The standard streams of a container: a connection to the engine that is taken over from HTTP.

After the request for attaching and the head of its answer the connection carries what the container reads
in one direction and frames of what it writes in the other; see `ContainerAttach` of the Docker Engine API.
The SDK has no public way to that socket, so that the request is made here.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import anyio
import anyio.abc
from anyio.streams.tls import TLSStream

from service_manager.drivers.docker_frames import Channel, Demultiplexer, NotFrames
from service_manager.drivers.lines import Lines
from service_manager.errors import PlatformError
from service_manager.journal import Journal

CONNECT_S = 10.0
"""How long the engine may take to answer the request."""

HEAD_LIMIT = 65536
"""Bytes of an answer's head; no engine's is near it."""

CHUNK = 65536


class Pipe(anyio.abc.ByteReceiveStream):
    """Bytes that one task puts in and another takes out; who puts in waits."""

    def __init__(self) -> None:
        self._sending, self._receiving = anyio.create_memory_object_stream[bytes](0)
        self._rest = b""

    async def put(self, data: bytes) -> None:
        """Hand bytes over; they are dropped once nobody reads any more."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._sending.send(data)

    def end(self) -> None:
        """Put in no more."""
        self._sending.close()

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        """Take out what there is."""
        data = self._rest or await self._receiving.receive()
        self._rest = data[max_bytes:]
        return data[:max_bytes]

    async def aclose(self) -> None:
        """Read no more."""
        self._receiving.close()


class Attachment(anyio.abc.ByteSendStream):
    """An attached container. Sending to it is its stdin.

    Args:
        stream: the connection.
        early: what arrived on it together with the head of the answer.
        journal: takes the lines of its stderr, and of its stdout where `stdout` is not wanted.
        stdout_to_journal: nobody reads its stdout as a stream.

    Attributes:
        stdout: what it writes there.
    """

    def __init__(
        self, stream: anyio.abc.ByteStream, early: bytes, journal: Journal, *, stdout_to_journal: bool = False
    ) -> None:
        self._stream = stream
        self._early = early
        self._journal = journal
        self._stdout_to_journal = stdout_to_journal
        self.stdout = Pipe()

    async def send(self, item: bytes) -> None:
        """Write to its stdin."""
        await self._stream.send(item)

    async def send_eof(self) -> None:
        """End its stdin; over TLS this can't be said."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, NotImplementedError, OSError):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Let go of it, which ends its stdin too."""
        await self.stdout.aclose()
        await self._stream.aclose()

    async def follow(self) -> None:
        """Take its output as it comes, and return when it has ended or the connection broke."""
        errors = Pipe()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep, errors)
            if self._stdout_to_journal:
                tasks.start_soon(self._keep, self.stdout)
            try:
                await self._take(errors)
            finally:
                errors.end()
                self.stdout.end()

    async def _take(self, errors: Pipe) -> None:
        frames = Demultiplexer()
        data, self._early = self._early, b""
        try:
            while True:
                for channel, part in frames.feed(data):
                    await (self.stdout if channel is Channel.STDOUT else errors).put(part)
                data = await self._stream.receive(CHUNK)
        except NotFrames:
            self._journal.add("The container has a terminal (tty); MCP over it is not possible.")
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def _keep(self, stream: Pipe) -> None:
        async for line in Lines(stream):
            self._journal.add(line.decode(errors="replace"))


@asynccontextmanager
async def attached(
    host: str, environ: Mapping[str, str], container: str, journal: Journal, *, stdin: bool
) -> AsyncGenerator[Attachment]:
    """Attach to a container, which need not run yet; then nothing of its output is missed.

    Args:
        host: of the engine, as in DOCKER_HOST.
        environ: where DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are.
        container: its id.
        journal: takes its stderr, and without `stdin` its stdout.
        stdin: its stdin and stdout are used as streams.

    Raises:
        PlatformError: it can't be attached to.
    """
    try:
        with anyio.fail_after(CONNECT_S):
            stream = await _connect(host, environ)
            try:
                early = await _take_over(stream, container, stdin=stdin)
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, TimeoutError) as error:
        raise PlatformError(f"The Docker engine at {host} does not let us attach: {error}.") from error
    async with Attachment(stream, early, journal, stdout_to_journal=not stdin) as attachment:
        yield attachment


async def _connect(host: str, environ: Mapping[str, str]) -> anyio.abc.ByteStream:
    parts = urlsplit(host)
    if parts.scheme in ("unix", "http+unix"):
        return await anyio.connect_unix(f"{parts.netloc}{parts.path}")
    if parts.scheme not in ("tcp", "http", "https") or not parts.hostname:
        raise PlatformError(
            f"Standard streams of containers can't be had by way of {host}.",
            "Use an engine at unix:// or tcp:// in DOCKER_HOST, or an image that serves MCP over HTTP.",
        )
    secure = parts.scheme == "https" or environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_CERT_PATH")
    stream = await anyio.connect_tcp(parts.hostname, parts.port or (2376 if secure else 2375))
    if not secure:
        return stream
    context = _tls(environ)
    return await TLSStream.wrap(
        stream, hostname=parts.hostname, ssl_context=context, standard_compatible=False
    )


def _tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    """As the SDK reads the same variables: our certificate, and the engine's checked where that is wanted."""
    named = environ.get("DOCKER_CERT_PATH")
    directory = Path(named) if named else Path.home() / ".docker"
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    context = ssl.create_default_context(cafile=str(directory / "ca.pem") if verify else None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


async def _take_over(stream: anyio.abc.ByteStream, container: str, *, stdin: bool) -> bytes:
    """Ask for the streams; what already came of them after the head of the answer."""
    path = f"/containers/{quote(container, safe='')}/attach?stream=1&stdin={int(stdin)}&stdout=1&stderr=1"
    await stream.send(
        f"POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()
    )
    received = b""
    while b"\r\n\r\n" not in received:
        if len(received) > HEAD_LIMIT:
            raise PlatformError("The Docker engine's answer has no end.")
        received += await stream.receive(CHUNK)
    head, _, rest = received.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].decode(errors="replace").split(" ", 2)[1:]
    # 200 is what engines before the upgrade, and some proxies, answer.
    if status[:1] not in (["101"], ["200"]):
        number = int(status[0]) if status and status[0].isdecimal() else 0
        raise PlatformError(f"The Docker engine refused to attach: {' '.join(status)}.", status=number)
    return rest
