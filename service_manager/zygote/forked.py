"""A process that was forked by a zygote, in the shape of one that was started."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
from contextlib import suppress
from types import TracebackType
from typing import Any

import anyio
import anyio.abc

from service_manager.zygote.pipes import PipeReader, PipeWriter

UNKNOWN_CODE = 255
"""The code of a process whose zygote died before it, as asyncio gives it for one whose code is lost."""

MESSAGE = 65536


class Unfit(Exception):
    """A zygote can't fork, and never will.

    Attributes:
        entry: the entry whose import is the reason; something else, or nothing, when it is none.
    """

    def __init__(self, why: str, entry: str) -> None:
        super().__init__(why)
        self.entry = entry


class Channel:
    """Our end of the socket that tells of one child; the child is ended when it is closed."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    async def receive(self) -> tuple[dict[str, Any], int | None]:
        """The next message, with the descriptor that came with it; an empty one when the zygote is gone.

        Raises:
            anyio.ClosedResourceError: it was closed here.
        """
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        while True:
            if self._end.fileno() < 0:
                raise anyio.ClosedResourceError
            try:
                said, ancillary, _, _ = self._end.recvmsg(MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                await anyio.wait_readable(self._end)
                continue
            except ConnectionError:
                said, ancillary = b"", []
            rights = array.array("i")
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    rights.frombytes(data)
            return (json.loads(said) if said else {}), (rights[0] if rights else None)

    def close(self) -> None:
        """Close it; a second time without effect."""
        if self._end.fileno() >= 0:
            anyio.notify_closing(self._end)
            self._end.close()


class ForkedProcess(anyio.abc.Process):
    """A child of a zygote: the leader of its own session, and of its own process group.

    Args:
        pid: its number.
        pidfd: a descriptor of it, for the case that its zygote dies before it.
        channel: where its end is told.
        stdin, stdout, stderr: our ends of its pipes.
    """

    def __init__(
        self,
        pid: int,
        pidfd: int,
        channel: Channel,
        stdin: PipeWriter,
        stdout: PipeReader,
        stderr: PipeReader,
    ) -> None:
        self._pid = pid
        self._pidfd = pidfd
        self._channel = channel
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._returncode: int | None = None
        self._waiting = anyio.Lock()

    @property
    def pid(self) -> int:
        """Its number; that of its group too."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None as long as nobody has waited for its end."""
        return self._returncode

    @property
    def stdin(self) -> anyio.abc.ByteSendStream:
        """What it reads."""
        return self._stdin

    @property
    def stdout(self) -> anyio.abc.ByteReceiveStream:
        """What it writes."""
        return self._stdout

    @property
    def stderr(self) -> anyio.abc.ByteReceiveStream:
        """What it writes for people."""
        return self._stderr

    async def wait(self) -> int:
        """Wait for its end, any number of callers at once; `UNKNOWN_CODE` when its code is lost."""
        async with self._waiting:
            if self._returncode is None:
                said, _ = await self._channel.receive()
                if "exit" in said:
                    self._returncode = int(said["exit"])
                else:
                    await anyio.wait_readable(self._pidfd)
                    self._returncode = UNKNOWN_CODE
            return self._returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, signal: signal.Signals) -> None:
        """Send it a signal; without effect once it has ended."""
        with suppress(ProcessLookupError):
            if self._pidfd >= 0:
                _signal(self._pidfd, signal)

    async def aclose(self) -> None:
        """Close its streams and kill it when it runs still; return when it has ended."""
        with anyio.CancelScope(shield=True):
            for stream in (self._stdin, self._stdout, self._stderr):
                stream.close()
            if self._pidfd < 0:
                return
            if self._returncode is None:
                self.kill()
                await self.wait()
            self._channel.close()
            pidfd, self._pidfd = self._pidfd, -1
            anyio.notify_closing(pidfd)
            os.close(pidfd)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """As `aclose`."""
        await self.aclose()


async def fork(control: socket.socket, request: dict[str, Any]) -> tuple[ForkedProcess, str]:
    """Have a zygote fork, and return the process with why its module was not imported before, if so.

    Cancelled at any moment it leaves no process behind: the zygote ends the child of a closed channel.

    Args:
        control: our end of the zygote's socket.
        request: what to run; see `service_manager.zygote.program`.

    Raises:
        Unfit: the zygote says it can't.
        OSError: it could not be asked, or is gone.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    reads, writes, errors = os.pipe(), os.pipe(), os.pipe()
    stdin, stdout, stderr = PipeWriter(reads[1]), PipeReader(writes[0]), PipeReader(errors[0])
    done = False
    try:
        try:
            given = array.array("i", [reads[0], writes[1], errors[1], theirs.fileno()])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given)]
            control.sendmsg([json.dumps(request).encode()], rights)
        finally:
            theirs.close()
            for number in (reads[0], writes[1], errors[1]):
                os.close(number)
        said, pidfd = await channel.receive()
        if "error" in said:
            raise Unfit(str(said["error"]), str(said["unfit"]))
        if pidfd is None:
            raise ConnectionError("it is gone")
        done = True
        return ForkedProcess(said["pid"], pidfd, channel, stdin, stdout, stderr), said["skipped"]
    finally:
        if not done:
            channel.close()
            for stream in (stdin, stdout, stderr):
                stream.close()


def _signal(pidfd: int, sent: signal.Signals) -> None:
    # Only Linux has it; nothing is forked elsewhere.
    signal.pidfd_send_signal(pidfd, sent)
