"""Which of a host's models to use: by what is pulled and by what the hardware can carry. Pure.

Speeds are estimates, good enough to tell a model that answers in a second from one that takes ten; what
protects a request is its time limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tool_router.ai.families import (
    CHAT_FAMILIES,
    FAMILIES,
    REASONING_FAMILIES,
    SUGGESTED,
    SUGGESTED_CHAT,
    Family,
    base_name,
)
from tool_router.ai.hardware import GB, Hardware
from tool_router.ai.provider import EmbeddingModel

TOKENS_PER_CORE_S = 45.0
"""Tokens of a prompt that one CPU core reads in a second with a model of one billion parameters at four bits:
the order of what llama.cpp reaches on common desktop CPUs."""

GPU_SPEEDUP = 20.0
"""How much faster a GPU that holds the model reads, likewise an order of magnitude."""

JUDGE_TOKENS = 600
"""A judge's prompt with five candidates."""

QUERY_TOKENS = 40
"""A task as an embedding model reads it."""

RAM_SHARE = 0.5
"""The part of the memory a model may take: the other half is for what the machine is there for."""

OVERHEAD_BYTES = GB // 2
"""What a loaded model takes besides its weights: the context and the runner."""

_BYTES_PER_BILLION = 0.62 * GB
"""Of a model at four bits, where the host gives a size but no number of parameters."""

_PARAMETERS = re.compile(r"\s*([\d.]+)\s*([MBK])", re.IGNORECASE)
_SCALE = {"K": 1e-6, "M": 1e-3, "B": 1.0}


class Use(StrEnum):
    """What a model is chosen for."""

    EMBEDDING = "embedding"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that a host has.

    Attributes:
        name: with its tag.
        digest: of the weights.
        size_bytes: of the weights; 0 where the host does not say.
        parameter_size: as the host writes it ("23M", "1.5B"); empty where it does not.
        capabilities: what the host says it can do; None where it was not asked.
    """

    name: str
    digest: str = ""
    size_bytes: int = 0
    parameter_size: str = ""
    capabilities: frozenset[str] | None = None

    @property
    def billions(self) -> float:
        """Its parameters in billions; 0.0 when nothing tells."""
        match = _PARAMETERS.match(self.parameter_size)
        if match is not None and match[1].count(".") <= 1 and match[1] != ".":
            return float(match[1]) * _SCALE[match[2].upper()]
        return self.size_bytes / _BYTES_PER_BILLION


@dataclass(frozen=True, slots=True)
class Rejected:
    """A pulled model that was not chosen, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The model chosen for a use.

    Attributes:
        chosen: the model, or None when none can be used.
        why: why it was chosen, or why none was; a clause without a full stop.
        rejected: the other models that could have been meant for this use.
        better: the command that would pull a better one; empty when there is none.
    """

    use: Use
    chosen: Pulled | None
    why: str
    rejected: tuple[Rejected, ...] = ()
    better: str = ""


def choose_embedding(
    pulled: Sequence[Pulled], hardware: Hardware, limit_s: float, wanted: str = ""
) -> Choice:
    """Choose what embeds tasks.

    Args:
        pulled: what the host has; models of unknown families count when their capabilities say that they
            embed.
        hardware: what the host can carry.
        limit_s: how long a request waits for its vector.
        wanted: the configured name, which is taken whatever the hardware; empty leaves the choice.
    """
    if wanted:
        return _wanted(Use.EMBEDDING, wanted, pulled)
    rejected: list[Rejected] = []
    fitting: list[Pulled] = []
    for model in sorted(filter(_embeds, pulled), key=_rank):
        obstacle = _obstacle(model, hardware, QUERY_TOKENS, limit_s)
        if obstacle:
            rejected.append(Rejected(model.name, obstacle))
        else:
            fitting.append(model)
    pull = f"ollama pull {SUGGESTED}"
    if not fitting:
        none = "no pulled embedding model can be used here" if rejected else "no embedding model is pulled"
        return Choice(Use.EMBEDDING, None, none, tuple(rejected), pull)
    first, *rest = fitting
    rejected.extend(Rejected(model.name, f"{first.name} answers sooner") for model in rest)
    known = _rank(first) < len(FAMILIES)
    why = "the fastest pulled family for an ordinary CPU" if known else "its host says that it embeds"
    return Choice(Use.EMBEDDING, first, why, tuple(rejected), "" if _rank(first) == 0 else pull)


def choose_chat(pulled: Sequence[Pulled], hardware: Hardware, limit_s: float, wanted: str = "") -> Choice:
    """Choose what judges shortlists and reads arguments: the largest model that can do so within the limit.

    Args:
        pulled: what the host has; models of unknown families count when their capabilities say that they
            complete text.
        hardware: what the host can carry.
        limit_s: how long a request waits for a judgement.
        wanted: the configured name, which is taken whatever the hardware; empty leaves the choice.
    """
    if wanted:
        return _wanted(Use.CHAT, wanted, pulled)
    rejected: list[Rejected] = []
    fitting: list[Pulled] = []
    for model in pulled:
        if base_name(model.name) in REASONING_FAMILIES:
            rejected.append(Rejected(model.name, "it thinks before it answers, which takes too long"))
        elif chats(model):
            obstacle = _obstacle(model, hardware, JUDGE_TOKENS, limit_s)
            if obstacle:
                rejected.append(Rejected(model.name, obstacle))
            else:
                fitting.append(model)
    fitting.sort(key=lambda model: (base_name(model.name) in CHAT_FAMILIES, model.billions), reverse=True)
    best = next(
        (
            suggestion
            for suggestion in SUGGESTED_CHAT
            if not _obstacle(
                Pulled(suggestion.name, "", suggestion.size_bytes, f"{suggestion.parameters}B"),
                hardware, JUDGE_TOKENS, limit_s,
            )
        ),
        None,
    )  # fmt: skip
    if not fitting:
        none = "no pulled chat model can be used here" if rejected else "no chat model is pulled"
        pull = f"ollama pull {best.name}" if best else ""
        return Choice(Use.CHAT, None, none if best else f"{none}, and none would be fast enough",
                      tuple(rejected), pull)  # fmt: skip
    first, *rest = fitting
    rejected.extend(Rejected(model.name, f"{first.name} is the better judge") for model in rest)
    seconds = reading_s(first, hardware, JUDGE_TOKENS)
    why = f"the largest pulled one that reads a shortlist in time, in about {seconds:.1f} s"
    # A little more size is not worth a download.
    better = best is not None and best.parameters > 2 * first.billions
    return Choice(
        Use.CHAT, first, why, tuple(rejected), f"ollama pull {best.name}" if best and better else ""
    )


def undecided(use: Use, pulled: Sequence[Pulled]) -> Iterator[Pulled]:
    """The models of unknown families, whose host has to be asked what they can do."""
    for model in pulled:
        known = base_name(model.name) in CHAT_FAMILIES | REASONING_FAMILIES or _rank(model) < len(FAMILIES)
        if model.capabilities is None and not known and _plausible(use, model):
            yield model


def chats(model: Pulled) -> bool:
    """Whether a model answers prompts, by its family or by what its host says."""
    if base_name(model.name) in CHAT_FAMILIES:
        return True
    return model.capabilities is not None and "completion" in model.capabilities


def described(model: Pulled) -> EmbeddingModel:
    """A pulled model with its family's prefixes; none where the family is not known."""
    base = base_name(model.name)
    family = next((family for family in FAMILIES if family.name == base), Family(base))
    return EmbeddingModel(model.name, weights_key(model), family.query_prefix, family.document_prefix)


def weights_key(model: Pulled) -> str:
    """Names a model's very weights: pulled again under its old name, it has another key."""
    return f"{model.name}@{model.digest[:16]}" if model.digest else model.name


def reading_s(model: Pulled, hardware: Hardware, tokens: int) -> float:
    """About how many seconds a host needs to read a prompt; 0.0 when the model's size is not known."""
    speed = TOKENS_PER_CORE_S * hardware.cores * (GPU_SPEEDUP if hardware.vram_bytes else 1.0)
    return tokens * model.billions / speed


def _obstacle(model: Pulled, hardware: Hardware, tokens: int, limit_s: float) -> str:
    """Why a host can't use a model; empty when it can."""
    room = max(hardware.ram_bytes * RAM_SHARE, hardware.vram_bytes)
    if model.size_bytes + OVERHEAD_BYTES > room:
        return f"it needs {(model.size_bytes + OVERHEAD_BYTES) / GB:.1f} GB of {room / GB:.1f} GB"
    seconds = reading_s(model, hardware, tokens)
    if seconds > limit_s:
        return f"it would take about {seconds:.1f} s, longer than {limit_s:g} s"
    return ""


def _wanted(use: Use, wanted: str, pulled: Sequence[Pulled]) -> Choice:
    """The model a person asked for; no tag means ``latest``."""
    full = wanted if ":" in wanted.rsplit("/", 1)[-1] else f"{wanted}:latest"
    for model in pulled:
        if model.name.casefold() in (wanted.casefold(), full.casefold()):
            return Choice(use, model, "it is the configured one")
    return Choice(use, None, f"the configured {wanted} is not pulled", (), f"ollama pull {wanted}")


def _embeds(model: Pulled) -> bool:
    if _rank(model) < len(FAMILIES):
        return True
    return model.capabilities is not None and "embedding" in model.capabilities


def _rank(model: Pulled) -> int:
    """The family's place among the preferred ones; after them all when it is not known."""
    base = base_name(model.name)
    names = [family.name for family in FAMILIES]
    return names.index(base) if base in names else len(names)


def _plausible(use: Use, model: Pulled) -> bool:
    """Whether an unknown family is worth a question: a name that says "embed" is no chat model."""
    return use is Use.EMBEDDING or "embed" not in model.name.casefold()
