"""Puts together an image of a Python interpreter and one script: no registry is asked for anything."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

SCRIPT = Path(__file__).with_name("small_server.py")

_LIBRARY = re.compile(r"(/\S+)")


def archive() -> bytes:
    """The root file system as a tar: the interpreter, the modules the script uses, their libraries, /tmp."""
    python = Path(sys.executable).resolve()
    found = _modules(python)
    binaries = [python, *(path for path in found if ".so" in path.suffixes)]
    files = {python, *found, *_libraries(binaries)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(files):
            tar.add(path.resolve(), arcname=str(path).lstrip("/"))
        tar.add(SCRIPT, arcname="server.py")
        for name in ("tmp", "proc", "dev", "etc"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(directory)
    return buffer.getvalue()


def entrypoint() -> list[str]:
    """What runs the server in the image."""
    return [str(Path(sys.executable).resolve()), "-I", "-S", "-u", "/server.py"]


def _modules(python: Path) -> set[Path]:
    """The files of all modules the script imports, and of those an interpreter starts with."""
    program = (
        "import sys, runpy; sys.argv = ['x']; runpy.run_path(sys.path.pop(), run_name='imported');"
        "import encodings.idna, encodings.latin_1, encodings.ascii;"
        "print('\\n'.join(m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)))"
    )
    program = program.replace("sys.path.pop()", repr(str(SCRIPT)))
    listed = subprocess.run(
        [str(python), "-I", "-S", "-c", program], check=True, capture_output=True, text=True
    )
    # The interpreter finds its library by this one.
    landmark = Path(
        subprocess.run(
            [str(python), "-I", "-S", "-c", "import os; print(os.__file__)"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    return {Path(line) for line in listed.stdout.split() if line != str(SCRIPT)} | {landmark}


def _libraries(binaries: list[Path]) -> set[Path]:
    """The shared libraries of these files, the loader too, by the names they are looked for."""
    found: set[Path] = set()
    for binary in binaries:
        listed = subprocess.run(["ldd", str(binary)], check=False, capture_output=True, text=True).stdout
        for line in listed.splitlines():
            if path := _LIBRARY.search(line.partition("=>")[2] or line):
                found.add(Path(path[1]))
    return found
