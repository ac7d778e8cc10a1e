"""A service that keeps a number and 40 MB in memory; run as a child process by tests.

One word a line on standard input, one answer a line: `add` counts and tells the number, `look` reads all of
the memory and tells whether it is whole, `fork` starts a child in a session of its own and tells its pid,
`orphan` one whose parent is gone, `storm` forks children that live for a moment until the input ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

PAGE = 4096
SIZE = 40 * 1024 * 1024


def main() -> None:
    """Answer until the input ends."""
    # Every page is different and half of it random: it neither merges nor compresses to nothing.
    memory = bytearray(SIZE)
    for at in range(0, SIZE, PAGE):
        memory[at : at + PAGE // 2] = os.urandom(PAGE // 2)
    whole = hash(bytes(memory))
    number = 0
    say("ready")
    for line in sys.stdin:
        word = line.strip()
        if word == "add":
            number += 1
            say(number)
        elif word == "look":
            say(hash(bytes(memory)) == whole)
        elif word == "fork":
            pid = child(work)
            while os.getsid(pid) != pid:
                time.sleep(0.001)
            say(pid)
        elif word == "orphan":
            say(orphan())
        elif word == "storm":
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            threading.Thread(target=storm, daemon=True).start()
            say("storm")


def say(answer: object) -> None:
    """Answer one line."""
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def child(task: object) -> int:
    """Start a child that does this in its own session, without the parent's streams, and tell its pid."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(silence, stream)
        assert callable(task)
        task()
        os._exit(0)
    return pid


def orphan() -> int:
    """Start a worker below a process that ends, and tell its pid."""
    read, write = os.pipe()
    parent = child(lambda: os.write(write, str(child(work)).encode()))
    os.waitpid(parent, 0)
    try:
        return int(os.read(read, 20))
    finally:
        os.close(read)
        os.close(write)


def work() -> None:
    """Use the processor without end."""
    while True:
        sum(range(1000))


def storm() -> None:
    """Fork without end; the children live for a few milliseconds."""
    while True:
        child(lambda: time.sleep(0.005))


if __name__ == "__main__":
    main()
