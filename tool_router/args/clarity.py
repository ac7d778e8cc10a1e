"""Which choices of an assignment were not clear, each as one sentence.

Two kinds: a value that another reading of the text could have given otherwise, and a part of the task that
nothing accounts for while a parameter is still open that it may have been meant for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tool_router.args.bind import Binding
from tool_router.args.meaning import Meaning
from tool_router.args.slots import Slot
from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading
from tool_router.args.spans_time import WEEKDAYS
from tool_router.args.words import is_function_word, stem

LEAST_SCORE = 0.45
LEAST_MARGIN = 0.1
SURE_MARGIN = 0.24
"""A value that nothing else competes for is sure even when only its form speaks for it."""

_TELLING = frozenset(
    {
        Kind.NUMBER, Kind.QUOTED, Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.DURATION, Kind.URL, Kind.EMAIL,
        Kind.PATH,
        Kind.IDENTIFIER, Kind.REPO, Kind.JSON, Kind.NAME,
    }
)  # fmt: skip
_VERB_PLACES = frozenset(
    {".", "?", "!", ":", "to", "you", "i", "we", "please", "who", "i'd", "let", "me", "did", "does", "do"}
)
_DATED = frozenset({Meaning.DATE, Meaning.DATETIME})
_DAYS = frozenset({*WEEKDAYS, "today", "tonight", "tomorrow", "yesterday", "weekend"})
_FORMAL = frozenset(
    {Kind.NUMBER, Kind.PATH, Kind.URL, Kind.EMAIL, Kind.DATE, Kind.TIME, Kind.JSON, Kind.LIST, Kind.DURATION}
)
_PLAIN = frozenset(
    stem(word)
    for word in """find get give tell show provide retrieve calculate compute determine list search look
    check help please thanks thank information info detail details data about know see
    make create generate fetch return result results current currently latest new today
    now right available much many long far often will would like want need needs good best
    nice some something anything looking trying interested kind type sort way able also
    just really quickly estimate predict obtain display bring inform request brief more me
    out ask wonder wondering curious possible exact exactly total specific given certain
    different""".split()
)
"""Words that ask, not describe: they are never the value of a parameter that is left open."""


def doubts_of(
    slots: Sequence[Slot],
    bindings: Mapping[int, Binding],
    reading: Reading,
    used: Sequence[tuple[int, int]],
    open_slots: Sequence[Slot],
    vocabulary: frozenset[str],
) -> tuple[str, ...]:
    """One sentence for each unclear choice.

    Args:
        slots: the parameters that were to be filled from the text.
        bindings: what was bound, by slot index.
        reading: the task.
        used: the stretches of the task that values were read from.
        open_slots: the parameters that still have no value.
        vocabulary: stems of the words the tool uses of itself and its parameters.
    """
    found = list(_unsure(slots, bindings))
    if any(slot.meaning in _DATED for slot in slots):
        found.extend(_undated(reading, used))
    if open_slots:
        found.extend(_unused(reading, used, vocabulary))
        if not found and any(map(_worded, open_slots)):
            found.extend(_unexplained(reading, used, vocabulary))
    return tuple(found)


def _unsure(slots: Sequence[Slot], bindings: Mapping[int, Binding]) -> Iterator[str]:
    for index, binding in bindings.items():
        name, fit = slots[index].name, binding.fit
        if fit.doubt:
            yield f"{name}: {fit.doubt}."
        elif fit.score < LEAST_SCORE and (binding.margin < SURE_MARGIN or fit.span.kind not in _FORMAL):
            yield f"{name}: {fit.span.text!r} was taken by its form alone."
        elif fit.span.kind is Kind.LIST and fit.span.items[0].kind is Kind.PHRASE:
            yield f"{name}: the list {fit.span.text!r} may hold more than its values."
        elif fit.unsupported:
            yield f"{name}: nothing says that {fit.span.text!r} is this end and not the other."
        elif binding.margin < LEAST_MARGIN and not _parts(binding):
            other = f"{binding.rival.span.text!r}" if binding.rival else "nothing"
            yield f"{name}: {fit.span.text!r} or {other}?"


def _undated(reading: Reading, used: Sequence[tuple[int, int]]) -> Iterator[str]:
    """A day that was spoken of but not read as a date, beside a parameter that takes one."""
    for word in reading.words:
        if word.text.lower() in _DAYS and not _touches(used, word.start, word.end):
            yield f"{word.text!r} was not read as a date."
            return


def _parts(binding: Binding) -> bool:
    """Whether the rival only is a shorter or longer form of the same place."""
    rival = binding.rival
    return (
        rival is not None
        and "pair" in (rival.span.unit, binding.fit.span.unit)
        and rival.span.overlaps(binding.fit.span)
    )


def _unused(reading: Reading, used: Sequence[tuple[int, int]], vocabulary: frozenset[str]) -> Iterator[str]:
    for span in reading.spans:
        if (
            span.kind in _TELLING
            and not _touches(used, span.start, span.end)
            and not _known(span, reading, vocabulary)
        ):
            yield f"{span.text!r} was not used."
            return


def _known(span: Span, reading: Reading, vocabulary: frozenset[str]) -> bool:
    if span.kind not in (Kind.NAME, Kind.IDENTIFIER):
        counted = span.text.isalpha() and stem(span.unit) in vocabulary
        return span.kind is Kind.NUMBER and (counted or span.text.lower() in ("one", "first", "second"))
    inside = [word for word in reading.words if span.start <= word.start < span.end and word.is_word]
    return all(word.stem in vocabulary or is_function_word(word.text) for word in inside)


def _worded(slot: Slot) -> bool:
    """Whether an ordinary word may be its value."""
    return (slot.accepts("string") or slot.accepts("array")) and slot.meaning not in (
        Meaning.DATE, Meaning.TIME, Meaning.DATETIME, Meaning.URL, Meaning.EMAIL, Meaning.IDENTIFIER,
        Meaning.YEAR,
    )  # fmt: skip


def _unexplained(
    reading: Reading, used: Sequence[tuple[int, int]], vocabulary: frozenset[str]
) -> Iterator[str]:
    for index, word in enumerate(reading.words):
        if (
            word.is_word
            and not _acts(reading, index)
            and len(word.text) > 2
            and not is_function_word(word.text)
            and word.stem not in _PLAIN
            and word.stem not in vocabulary
            and not word.text.isdigit()
            and not _touches(used, word.start, word.end)
        ):
            yield f"{word.text!r} may name a value that was left out."
            return


def _acts(reading: Reading, index: int) -> bool:
    """Whether a word stands where a verb does: opening a sentence, or after "to", "you", "I", "please"."""
    before = reading.words[index - 1].text.lower() if index else "."
    return before in _VERB_PLACES


def _touches(used: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    return any(low < end and start < high for low, high in used)
