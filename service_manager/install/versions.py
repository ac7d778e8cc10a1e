"""Which of two versions is newer: Semantic Versioning 2.0.0 (section 11) for npm, PEP 440 for Python."""

from __future__ import annotations

import re
from typing import Literal

_PYTHON = re.compile(
    r"(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)(?:(?P<pre>a|b|rc)(?P<pre_number>\d+))?"
    r"(?:\.post(?P<post>\d+))?(?:\.dev(?P<dev>\d+))?(?:\+(?P<local>[a-z0-9]+(?:[._-][a-z0-9]+)*))?"
)

_LAST = float("inf")


def is_newer(registry: Literal["npm", "pypi"], candidate: str, than: str) -> bool:
    """Whether a version comes after another one; False where one of them is not a version."""
    key = _semver_key if registry == "npm" else _python_key
    try:
        return key(candidate) > key(than)
    except ValueError:
        return False


def _semver_key(text: str) -> tuple[tuple[int, ...], tuple[tuple[int, int, str], ...]]:
    core, hyphen, pre = text.partition("+")[0].partition("-")
    numbers = tuple(int(number) for number in core.split("."))
    # A version without a pre-release part comes after all that have one; numbers come before words.
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in pre.split(".")]
    return numbers, tuple(parts) if hyphen else ((2, 0, ""),)


def _python_key(text: str) -> tuple[object, ...]:
    found = _PYTHON.fullmatch(text)
    if found is None:
        raise ValueError(text)
    release = [int(number) for number in found["release"].split(".")]
    while release and release[-1] == 0:
        release.pop()
    post = float(found["post"]) if found["post"] else -1.0
    dev = float(found["dev"]) if found["dev"] else _LAST
    if found["pre"]:
        pre = (("a", "b", "rc").index(found["pre"]) + 1.0, float(found["pre_number"]))
    else:
        # A development release of a final version comes before its pre-releases, the final one after them.
        pre = (0.0, 0.0) if found["dev"] and not found["post"] else (_LAST, 0.0)
    local = [
        (1, int(part), "") if part.isdecimal() else (0, 0, part)
        for part in re.split(r"[._-]", found["local"] or "")
        if part
    ]
    return int(found["epoch"] or 0), tuple(release), pre, post, dev, tuple(local)
