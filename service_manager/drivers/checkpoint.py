"""Writes a service that speaks over pipes to disk with CRIU and brings it back; opt-in, for root.

The process ends when it is written, and comes back as our child with the same number, group and session. So
whoever started it must not take that end for its own and learns of the later one from `Checkpoint.wait`. What
is in the pipes stays there: their ends are held open meanwhile.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio

from service_manager.errors import SleepFailed
from service_manager.linux import procfs
from service_manager.linux.members import members

LIMIT_S = 30.0
"""How long CRIU may take; 50 to 200 ms for 60 MB."""

BURIED_S = 5.0
"""How long the written process may stay as a zombie; its number is needed again."""

PAUSE_S = 0.002

UNKNOWN_CODE = 255
"""The exit code of a process that somebody else has waited for."""

_ERROR = re.compile(r"^(?:\([\d.]+\) )?Error \([^)]*\): (.*)$", re.MULTILINE)


def unable(criu: str = "criu") -> str:
    """Why CRIU can't be used here, with what to do; empty when it can. Runs ``criu check``, about 20 ms."""
    if not sys.platform.startswith("linux"):
        return "CRIU is for Linux only."
    program = shutil.which(criu)
    if program is None:
        return "CRIU is not installed: `apt-get install criu`."
    if os.geteuid() != 0:
        return "CRIU needs root: run the manager as root."
    try:
        check = subprocess.run(
            [program, "check"], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"CRIU can't be run: {error}."
    if check.returncode == 0:
        return ""
    why = said(check.stdout + check.stderr)
    return f"This CRIU does not work with this kernel ({why}): install a newer one (`criu check` tells)."


def said(log: str) -> str:
    """The first error in a log of CRIU's that tells of a cause."""
    errors = [message.strip().rstrip(".") for message in _ERROR.findall(log)]
    return next((message for message in errors if not message.startswith("exited")), "it does not say why")


class Checkpoint:
    """One running service, and its image once it is written; close it when the service has ended.

    Args:
        pid: the leader of its session, which we speak to over pipes.
        directory: an empty one for the image, which holds all of its memory: nobody else should read it.
        criu: the program.
        environ: its environment; None for ours.

    Attributes:
        code: how the process ended that was brought back, as `subprocess` has it; None before `wait` says so.

    Raises:
        SleepFailed: the process has ended, has no pipe in common with us, or some of it would stay behind.
    """

    def __init__(
        self, pid: int, directory: Path, criu: str = "criu", environ: Mapping[str, str] | None = None
    ) -> None:
        self._pid = pid
        self._directory = directory
        self._criu = criu
        self._environ = environ
        self._written = False
        self._ours = False
        self.code: int | None = None
        self._pipes: dict[str, int] = {}
        _check_whole(pid)
        try:
            self._hold(_pipes(os.getpid()))
        except OSError as error:
            self.close()
            raise SleepFailed(f"The pipes of process {pid} can't be held: {error}.") from error
        if not self._pipes:
            raise SleepFailed(f"Process {pid} has no pipe in common with us.")

    async def dump(self) -> None:
        """Write the process and all below it to disk; they end with it. Not to be cancelled in the middle.

        Raises:
            SleepFailed: it runs still; carries what CRIU said.
        """
        outside = [word for name in self._pipes for word in ("--external", name)]
        await self._run("dump", ["--tree", str(self._pid), *outside], ())
        self._written = True

    async def restore(self) -> None:
        """Bring it back from disk; without an effect on one that runs.

        Raises:
            SleepFailed: it can't be brought back and has to be started again; carries what CRIU said.
        """
        if not self._written:
            return
        with anyio.move_on_after(BURIED_S):
            while procfs.stat(self._pid) is not None:
                # The first one's end is told to whoever started it.
                if self._ours:
                    self._buried()
                await anyio.sleep(PAUSE_S)
        ends = tuple(self._pipes.values())
        inside = [word for name, end in self._pipes.items() for word in ("--inherit-fd", f"fd[{end}]:{name}")]
        await self._run("restore", ["--restore-detached", "--restore-sibling", *inside], ends)
        self._written = False
        self._ours = True
        self.code = None

    async def wait(self) -> None:
        """Return when the process that was brought back has ended, which buries it."""
        # Until then its number stays its own.
        with suppress(ProcessLookupError):
            process = os.pidfd_open(self._pid)
            try:
                await anyio.wait_readable(process)
            finally:
                os.close(process)
        # One that CRIU has ended is told to CRIU first.
        while not self._buried():  # noqa: ASYNC110  # as in `restore`
            await anyio.sleep(PAUSE_S)

    def close(self) -> None:
        """Let go of its pipes; the image stays where it is."""
        while self._pipes:
            os.close(self._pipes.popitem()[1])

    def _buried(self) -> bool:
        """Take note of its end, which frees its number, as soon as that can be."""
        try:
            end = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            self.code = UNKNOWN_CODE if self.code is None else self.code
            return True
        if end is not None:
            self.code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
        return end is not None

    def _hold(self, ours: Mapping[str, Path]) -> None:
        """Hold the service's ends of the pipes we have the other ends of, so that these do not break.

        Servers move their standard streams to other descriptors, so all are looked at.
        """
        for process in members(self._pid):
            for name, path in _pipes(process.pid).items():
                if name in ours and name not in self._pipes:
                    # The mode of the link is that of the descriptor; see proc_pid_fd(5).
                    readable = path.lstat().st_mode & stat.S_IRUSR
                    self._pipes[name] = os.open(
                        path, (os.O_RDONLY if readable else os.O_WRONLY) | os.O_CLOEXEC
                    )

    async def _run(self, action: str, words: Sequence[str], ends: Sequence[int]) -> None:
        log = self._directory / f"{action}.log"
        argv = [
            self._criu,
            action,
            "--images-dir",
            str(self._directory),
            "--log-file",
            log.name,
            "-v1",
            *words,
        ]
        done: subprocess.CompletedProcess[bytes] | None = None
        # Shielded: half a dump or half a process would be left behind.
        with anyio.move_on_after(LIMIT_S, shield=True):
            try:
                done = await anyio.run_process(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=ends,
                    env=self._environ,
                    check=False,
                )
            except OSError as error:
                raise SleepFailed(f"CRIU can't {action} process {self._pid}: {error}.") from error
        if done is None:
            raise SleepFailed(f"CRIU did not {action} process {self._pid} within {LIMIT_S:.0f} s.")
        if done.returncode:
            text = ""
            with suppress(OSError):
                text = log.read_text(errors="replace")
            raise SleepFailed(
                f"CRIU can't {action} process {self._pid}: {said(text + done.stderr.decode())}."
            )


def _check_whole(leader: int) -> None:
    """Raise SleepFailed where a process of the service is not below its leader: it would not be written."""
    below = {leader}
    for process in members(leader):
        if process.pid != leader and process.parent not in below:
            raise SleepFailed(f"Its process {process.pid} has left the tree of process {leader}.")
        below.add(process.pid)


def _pipes(pid: int) -> dict[str, Path]:
    """The pipes of a process by their names, such as ``pipe:[1234]``, each with one of its descriptors."""
    found: dict[str, Path] = {}
    for path in (procfs.PROC / str(pid) / "fd").iterdir():
        # A descriptor may be closed meanwhile, the one of this listing always.
        with suppress(FileNotFoundError):
            name = str(path.readlink())
            if name.startswith("pipe:"):
                found.setdefault(name, path)
    return found
