"""What a zygote runs: it imports modules, and forks a process that calls a function of one for each request.

Run as a script by the interpreter of a virtual environment, with one end of a socket pair (SOCK_SEQPACKET) as
its standard input; it imports the standard library only besides what it is told to. There is no address, so
that nobody else can ask it for anything. Messages are JSON:

- first ``{"env", "base": [module], "lazy": {module: [module]}, "entries": ["module:function"], "idle_s"}``;
  answered by ``{"skipped": {module: why}}``, or by ``{"error": why, "unfit": entry}`` and its end. What is
  lazy is imported when the module it belongs to was.
- then ``{"entry", "argv", "env", "cwd", "import"}`` with four descriptors: standard input, output and error
  of the child, and its owner's socket. On that it answers ``{"pid", "skipped"}`` with a pidfd, or
  ``{"error", "unfit"}``, and at the end of the child ``{"exit": code}``, negative for a signal.

Whoever holds the other end of a child's socket owns the child: when that is closed, however that came, the
child's process group is ended. The zygote itself ends when its own socket is closed and its last child is
gone, or when it had nothing to do for a while.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from functools import reduce
from typing import Any

MESSAGE = 1 << 20
"""Bytes of the largest request; the kernel's own limit for one packet is lower."""

GRACE_S = 1.0
"""Time between asking a child without an owner to end and killing it; as `drivers.watchdog.GRACE_S`."""

HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What the zygote ignores: when its owner dies it has children to end first."""

CONNECTIONS = ("socket:", "pipe:", "anon_inode:")
"""Open files that two processes can't share without taking each other's data."""


class Unfit(Exception):
    """An import did what makes forking wrong."""


class Child:
    """A forked process, the socket of its owner, and when it is killed."""

    def __init__(self, pid: int, pidfd: int, owner: socket.socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.owner: socket.socket | None = owner
        self.kill_at: float | None = None

    def signal_group(self, sent: signal.Signals) -> None:
        """Signal its whole group, or what is left of it."""
        try:
            os.killpg(self.pid, sent)
        except (ProcessLookupError, PermissionError):
            return


class Zygote:
    """Serves the requests of one owner.

    Args:
        control: the socket requests come from.

    Attributes:
        env: the environment this process was started with, as its owner says.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wanted = True
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}
        self._skipped: dict[str, str] = {}
        self._refusal: dict[str, Any] = {}
        self.env: dict[str, str] = {}
        self._lazy: dict[str, list[str]] = {}
        self._idle_s = 0.0
        self._idle_since = time.monotonic()
        self._signals = {number: signal.signal(number, signal.SIG_IGN) for number in HELD_BACK}

    def serve(self) -> dict[str, Any] | None:
        """Serve until there is nothing to do; in a forked child, return the request it shall carry out."""
        if not self._prepare():
            return None
        self._selector.register(self._control, selectors.EVENT_READ)
        while self._children or (self._wanted and not self._idle()):
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is self._control:
                    request = self._receive()
                    if request is not None:
                        return request
                elif isinstance(key.data, Child):
                    self._tend(key.data, ended=key.fileobj == key.data.pidfd)
            for child in self._children.values():
                if child.kill_at is not None and child.kill_at <= time.monotonic():
                    child.signal_group(signal.SIGKILL)
                    child.kill_at = None
        return None

    def _prepare(self) -> bool:
        """Import what the first message says, and answer it; False when it can't go on."""
        said = self._control.recv(MESSAGE)
        if not said:
            return False
        order: dict[str, Any] = json.loads(said)
        self._idle_s = order["idle_s"]
        self._lazy = order["lazy"]
        self.env = order["env"]
        entry = ""
        try:
            check_forks()
            for entry in (*order["base"], *order["entries"]):
                self._load(entry)
        except Unfit as error:
            self._control.send(_packed({"unfit": entry, "error": str(error)}))
            return False
        self._control.send(_packed({"skipped": self._skipped}))
        return True

    def _load(self, entry: str) -> None:
        """Import the module of an entry once; one that can't be imported is left to its own process.

        Raises:
            Unfit: there are now threads or connections, which a fork would break.
        """
        module = entry.partition(":")[0]
        if module in sys.modules or module in self._skipped:
            return
        before = _open_files()
        self._import(module)
        for of in [of for of in self._lazy if of in sys.modules]:
            for lazy in self._lazy.pop(of):
                self._import(lazy)
        check_forks()
        for number, kind in _open_files().items():
            if number not in before and kind.startswith(CONNECTIONS):
                raise Unfit(f"importing {module} opens a connection ({kind})")
        gc.collect()
        # What is frozen is never looked at by the collector, so that its pages stay shared with the children.
        gc.freeze()

    def _import(self, module: str) -> None:
        try:
            importlib.import_module(module)
        except BaseException as error:  # noqa: BLE001  # foreign code may raise anything, SystemExit too
            self._skipped[module] = f"{type(error).__name__}: {error}"[:300]

    def _receive(self) -> dict[str, Any] | None:
        """Take one request; in the child that is forked for it, return it."""
        space = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        try:
            said, ancillary, _, _ = self._control.recvmsg(MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            said, ancillary = b"", []
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if not said:
            self._selector.unregister(self._control)
            self._control.close()
            self._wanted = False
            return None
        *streams, owner = descriptors
        try:
            return self._fork(json.loads(said), streams, socket.socket(fileno=owner))
        finally:
            for number in streams:
                os.close(number)

    def _fork(
        self, request: dict[str, Any], streams: list[int], owner: socket.socket
    ) -> dict[str, Any] | None:
        entry = request["entry"] if request["import"] else ""
        if not self._refusal and (error := self._unfit(entry)):
            self._refusal = {"error": error, "unfit": entry}
        if self._refusal:
            _tell(owner, self._refusal)
            owner.close()
            return None
        # What an import wrote and nobody has sent yet would be written by every child.
        sys.stdout.flush()
        sys.stderr.flush()
        led, leads = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.close(led)
            os.close(leads)
            owner.close()
            self._leave(streams)
            return request
        os.close(leads)
        # Its group is known to exist once this ends, so that whoever hears of it can signal it.
        os.read(led, 1)
        os.close(led)
        child = Child(pid, os.pidfd_open(pid), owner)
        self._children[pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, child)
        self._selector.register(owner, selectors.EVENT_READ, child)
        skipped = self._skipped.get(request["entry"].partition(":")[0], "")
        if not _tell(owner, {"pid": pid, "skipped": skipped}, child.pidfd):
            self._disown(child)
        return None

    def _unfit(self, entry: str) -> str:
        """Import an entry, if there is one; then say why nothing may be forked, if so."""
        try:
            if entry:
                self._load(entry)
            check_forks()
        except Unfit as error:
            return str(error)
        return ""

    def _leave(self, streams: list[int]) -> None:
        """In the child: give up everything that is the zygote's, and take the streams that were given.

        What imported modules have open stays open, as it is in a process that has imported them itself.
        """
        self._selector.close()
        self._control.close()
        for child in self._children.values():
            os.close(child.pidfd)
            if child.owner is not None:
                child.owner.close()
        self._children.clear()
        for standard, number in enumerate(streams):
            os.dup2(number, standard)
        for number, before in self._signals.items():
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, before)

    def _tend(self, child: Child, *, ended: bool) -> None:
        """Something came of a child: it ended, or its owner is gone."""
        if child.pid not in self._children:
            return
        if not ended:
            self._disown(child)
            return
        _, status = os.waitpid(child.pid, 0)
        del self._children[child.pid]
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        self._idle_since = time.monotonic()
        if child.owner is None:
            # Nobody is left who would end what it started.
            child.signal_group(signal.SIGKILL)
            return
        _tell(child.owner, {"exit": os.waitstatus_to_exitcode(status)})
        self._selector.unregister(child.owner)
        child.owner.close()

    def _disown(self, child: Child) -> None:
        """End a child whose owner is gone."""
        if child.owner is None:
            return
        self._selector.unregister(child.owner)
        child.owner.close()
        child.owner = None
        # A stopped process acts on SIGTERM only once it continues.
        child.signal_group(signal.SIGTERM)
        child.signal_group(signal.SIGCONT)
        child.kill_at = time.monotonic() + GRACE_S

    def _idle(self) -> bool:
        return time.monotonic() - self._idle_since >= self._idle_s

    def _patience(self) -> float | None:
        """Seconds until something is due by itself."""
        now = time.monotonic()
        due = [child.kill_at for child in self._children.values() if child.kill_at is not None]
        if not self._children:
            due.append(self._idle_since + self._idle_s)
        return max(0.0, min(due) - now) if due else None


def check_forks() -> None:
    """Check that this process has one thread: a fork copies only the one that forks, and the locks of all.

    Raises:
        Unfit: it has several, or that can't be told here.
    """
    try:
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208  # pathlib is not worth its import
    except OSError as error:
        raise Unfit(f"its threads can't be counted: {error}") from error
    if threads != 1:
        raise Unfit(f"it has {threads} threads")


def run(request: dict[str, Any], base: dict[str, str]) -> None:
    """Be the process that was asked for: as if its console script had been started.

    Args:
        request: what to run.
        base: the environment the zygote was started with.

    Raises:
        SystemExit: always, with the code the function gives.
    """
    argv: list[str] = request["argv"]
    with open("/proc/self/comm", "w") as name:  # noqa: PTH123  # pathlib is not worth its import
        name.write(os.path.basename(argv[0])[:15])  # noqa: PTH119
    # Only what differs: what the interpreter or an imported module has set it would have set here as well.
    wanted: dict[str, str] = request["env"]
    for variable in base.keys() - wanted.keys():
        os.environ.pop(variable, None)
    os.environ.update({key: value for key, value in wanted.items() if base.get(key) != value})
    if request["cwd"] is not None:
        os.chdir(request["cwd"])
    time.tzset()
    # The standard library's generators are seeded again by fork itself; numpy's old global one is not.
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    sys.argv = argv
    sys.path.insert(0, os.path.dirname(argv[0]))  # noqa: PTH120
    sys.modules["__main__"].__file__ = argv[0]
    gc.enable()
    module, _, name = request["entry"].partition(":")
    function: Any = reduce(getattr, name.split("."), importlib.import_module(module))
    sys.exit(function())


def main() -> None:
    """Serve until the end; in each child, run what was asked for."""
    # The directory of this file, which no service shall find its modules in.
    del sys.path[0]
    # A collection would write to pages that are about to be shared.
    gc.disable()
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    zygote = Zygote(control)
    request = zygote.serve()
    if request is None:
        # Not as a process of its own kind would end: exit handlers of imported modules are for the children.
        os._exit(0)
    run(request, zygote.env)


def _open_files() -> dict[int, str]:
    """What this process has open, by number."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue
    return found


def _packed(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def _tell(owner: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> bool:
    """Send a message to the owner of a child; False when it is gone."""
    rights = array.array("i", [] if descriptor is None else [descriptor])
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
    try:
        owner.sendmsg([_packed(message)], ancillary)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
