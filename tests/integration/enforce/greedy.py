"""A process that takes as much as it is told to. Its stdout says how far it came, its stderr what failed."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

MB = 2**20


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def memory(count: int) -> list[bytearray]:
    """Take so many megabytes, one after the other, and use them."""
    taken: list[bytearray] = []
    for _ in range(count):
        taken.append(bytearray(MB))
        taken[-1][::4096] = b"x" * (MB // 4096)
    say(count)
    return taken


def cpu(count: int) -> None:
    """Keep so many processors busy."""
    for _ in range(count - 1):
        if os.fork() == 0:
            break
    say("burning")
    while True:
        pass


def processes(count: int) -> None:
    """Start so many processes that stay."""
    started = 0
    try:
        for _ in range(count):
            if os.fork() == 0:
                time.sleep(60)
            started += 1
    finally:
        say(started)


def threads(count: int) -> None:
    """Start so many threads that stay."""
    started, end = 0, threading.Event()
    threading.stack_size(64 * 1024)
    try:
        for _ in range(count):
            threading.Thread(target=end.wait, daemon=True).start()
            started += 1
    finally:
        say(started)


def files(count: int) -> None:
    """Open so many files."""
    opened: list[object] = []
    try:
        for _ in range(count):
            file = Path(os.devnull).open()  # noqa: SIM115
            opened.append(file)
    finally:
        say(len(opened))


def write(count: int) -> None:
    """Write a file of so many megabytes."""
    with Path(sys.argv[3]).open("wb", buffering=0) as file:
        file.writelines(b"x" * MB for _ in range(count))
    say("written")


def daemon(count: int) -> None:
    """Leave a process behind that is nobody's child and leads its own session."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            say(os.getpid())
            time.sleep(count)
        os._exit(0)
    os.wait()


def main() -> None:
    """Wait for a line on stdin, then do what is asked, and stay; as another user where one is named."""
    if user := os.environ.get("GREEDY_USER"):
        os.setuid(int(user))
    sys.stdin.readline()
    taken = globals()[sys.argv[1]](int(sys.argv[2]))
    sys.stdin.readline()
    del taken


if __name__ == "__main__":
    main()
