"""Functions that a console script could name."""

from __future__ import annotations

import atexit
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path


def report() -> None:
    """Write down everything a process is given."""
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
    )
    opened = [number for number in range(100) if Path(f"/proc/self/fd/{number}").is_symlink()]
    umask = os.umask(0)
    os.umask(umask)
    given = {
        "argv": sys.argv,
        "path": sys.path,
        "env": dict(os.environ),
        "cwd": str(Path.cwd()),
        "zone": time.tzname,
        "umask": umask,
        "leads": os.getpid() == os.getsid(0) == os.getpgid(0),
        "signals": {key: status[key] for key in ("SigBlk", "SigIgn", "SigCgt")},
        "handlers": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "files": opened,
        "encodings": [stream.encoding for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "flags": str(sys.flags),
        "main": sys.modules["__main__"].__file__,
    }
    json.dump(given, sys.stdout)


def copy() -> None:
    """Copy the input to the output."""
    shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)


def draw() -> None:
    """Say who this is, and a random number."""
    sys.stdout.write(f"{os.getpid()} {random.random()}\n")


def fine() -> None:
    """End well, with an exit handler, and with output that nobody has flushed."""
    atexit.register(sys.stdout.write, "handled")
    sys.stdout.write("written, ")


def three() -> int:
    """End with a code."""
    return 3


def words() -> str:
    """End with words, as a failure."""
    return "these words"


def leave() -> None:
    """End in the middle."""
    sys.exit(5)


def fail() -> None:
    """End with an error that nobody catches."""
    raise RuntimeError("this error")


def drop() -> None:
    """End without any ado."""
    os._exit(7)


def terminate() -> None:
    """End by a signal."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def stay() -> None:
    """Say who this is and who started it, then stay, whatever is asked."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout.write(f"{os.getpid()} {os.getppid()}\n")
    sys.stdout.flush()
    while True:
        time.sleep(60)
