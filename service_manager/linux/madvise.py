"""Asks the kernel to move another process's pages out of memory: process_madvise(2) with MADV_PAGEOUT."""

from __future__ import annotations

import ctypes
import errno
import os

from service_manager.errors import SleepFailed
from service_manager.linux.ranges import Range, Ranges

PROCESS_MADVISE = 440
"""The system call's number; the same on every architecture, as for all calls since Linux 5.1 but on alpha."""

MADV_PAGEOUT = 21

IOV_MAX = 1024
"""The most ranges one call takes; see process_madvise(2)."""

NEEDS_NICE = "Give the interpreter the capability: setcap cap_sys_nice+ep $(readlink -f $(which python3))"


class _Range(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def available() -> bool:
    """Whether this kernel has the call and this process may make it at all (a sandbox may forbid it)."""
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        process = os.pidfd_open(os.getpid())
    except OSError:
        return False
    try:
        return _call(process, ()) >= 0
    except OSError:
        return False
    finally:
        os.close(process)


def page_out(pid: int, ranges: Ranges) -> int:
    """Page out these ranges and return how many bytes the kernel went through; 0 when the process is gone.

    What it can't page out (unmapped meanwhile, locked, a device's) is passed over.

    Raises:
        SleepFailed: it may not be done.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return 0
    done = 0
    left = list(ranges)
    try:
        while left:
            try:
                advised = _call(process, left[:IOV_MAX])
            except OSError as error:
                if error.errno == errno.ESRCH:
                    return done
                if error.errno in (errno.EPERM, errno.ENOSYS):
                    raise SleepFailed(
                        f"Pages of process {pid} can't be paged out: {error.strerror}.", NEEDS_NICE
                    ) from error
                # The first range is a hole or of a kind that has no swap.
                advised, left = 0, left[1:]
                continue
            done += advised
            left = _after(left, advised)
    finally:
        os.close(process)
    return done


def _after(ranges: list[Range], advised: int) -> list[Range]:
    """What is left after a call that went through so many bytes, without the range it stumbled over."""
    for index, (start, end) in enumerate(ranges[:IOV_MAX]):
        if advised < end - start:
            return ranges[index + 1 :]
        advised -= end - start
    return ranges[IOV_MAX:]


def _call(process: int, ranges: list[Range] | tuple[()]) -> int:
    vector = (_Range * len(ranges))(*(_Range(start, end - start) for start, end in ranges))
    result: int = ctypes.CDLL(None, use_errno=True).syscall(
        ctypes.c_long(PROCESS_MADVISE),
        ctypes.c_int(process),
        vector,
        ctypes.c_size_t(len(ranges)),
        ctypes.c_int(MADV_PAGEOUT),
        ctypes.c_uint(0),
    )
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
