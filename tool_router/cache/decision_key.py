"""What a decision depends on, as one key: whatever changes it changes the key. Pure."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from functools import cached_property

_VERSION = "1"
"""Raise it when the same inputs give other rankings."""


@dataclass(frozen=True)
class DecisionKey:
    """Everything a ranking depends on.

    Attributes:
        task: what should be done; `normalised`.
        context: what else is known; `normalised`.
        labels: labels that a target must carry, in any order.
        region: where the caller is.
        strategy: how targets are chosen.
        catalog: the catalog's fingerprint.
        policy: revision of the settings and of what was learned.
        models: the models and rungs that are configured, in the order in which they are asked.
    """

    task: str
    context: str = ""
    labels: tuple[str, ...] = ()
    region: str = ""
    strategy: str = ""
    catalog: str = ""
    policy: str = ""
    models: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all of it, in hexadecimal; the same in every process and on every machine."""
        parts = (
            _VERSION,
            normalised(self.task),
            normalised(self.context),
            self.region,
            self.strategy,
            self.catalog,
            self.policy,
            str(len(self.labels)),
            *sorted(self.labels),
            *self.models,
        )
        # The length before each part keeps ("a", "bc") and ("ab", "c") apart, whatever they contain.
        framed = [f"{len(part)}:{part}" for part in parts]
        return hashlib.sha256("".join(framed).encode(errors="surrogatepass")).hexdigest()


def normalised(text: str) -> str:
    """The text with composed characters and single spaces.

    Case stays: it tells acronyms from words, and the keyword score splits identifiers at it.
    """
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())
