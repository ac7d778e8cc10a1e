"""When a service may be forked, and when it is worth keeping a process for that."""

from __future__ import annotations

from collections.abc import Mapping

STARTS = 2
"""From this start of two services of one environment on a zygote is kept: they will start again."""

SHARING = 2
"""For one service alone there is none: it would hold more than the process it replaces (76 MB against 65)."""

SERVICES = 3
"""From so many services of one environment on a zygote takes less memory than it saves (SLEEP.md)."""

_READ_AT_START = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "LC_", "LANG", "LANGUAGE")
"""Variables that the interpreter, the loader and the C library read once, before any code of ours runs."""


def worth_it(starts: int, services: int) -> bool:
    """Whether an environment shall have a zygote.

    Args:
        starts: how often services of the environment were started, this time included.
        services: how many services of the environment there are.
    """
    return services >= SERVICES or (services >= SHARING and starts >= STARTS)


def forkable(env: Mapping[str, str], base: Mapping[str, str]) -> bool:
    """Whether a process with this environment can come from one that was started with `base`.

    A variable that was read before the fork would have no effect, or that of another service.
    """
    return all(
        env.get(name) == base.get(name)
        for name in env.keys() | base.keys()
        if name.startswith(_READ_AT_START)
    )


def own(env: Mapping[str, str], cwd: str | None, base: Mapping[str, str]) -> bool:
    """Whether a service has an environment or a directory of its own.

    Its module may look at them when it is imported: it is then imported after the fork, and only what it has
    in common with others before.
    """
    return cwd is not None or dict(env) != dict(base)
