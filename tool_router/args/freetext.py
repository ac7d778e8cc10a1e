"""What a task says once its command is taken off: "search my memory for Ada" is "Ada" to a query.

Only framing that is surely framing is taken off: politeness, a verb, words the tool uses of itself, and one
joining word. When nothing of that kind opens the task, the whole text stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tool_router.args.meaning import Meaning
from tool_router.args.span import Kind, Span
from tool_router.args.spans import Reading
from tool_router.args.words import Token, is_function_word

_POLITE = re.compile(
    r"\s*(?:(?:please|kindly|hey|hi|hello)[,\s]+|(?:can|could|would|will) you\s+(?:please\s+)?(?:help me\s+)?"
    r"|i (?:want|need|would like|'d like)(?: you)? to\s+|let's\s+|help me\s+)*",
    re.IGNORECASE,
)
_SAYING = frozenset(
    """echo say repeat print send post write remember note save store translate summarize summarise analyze
    analyse explain think consider execute run""".split()
)
_ASKING = frozenset(
    "search find look lookup query google ask recall tell check show get fetch retrieve research".split()
)
_LINKS = frozenset({"for", "about", "that", "on", "saying", "up", "of", "regarding", "with", ":"})
_DETERMINERS = frozenset({"my", "our", "your", "the"})
_KNOWING = frozenset("know remember recall say said tell think have learned heard anything".split())
_FILLERS = frozenset(
    {"the", "a", "an", "my", "our", "your", "in", "to", "me", "all", "any", "some", "out", "through"}
)


def free_text(reading: Reading, tool_stems: frozenset[str], meaning: Meaning) -> Iterator[Span]:
    """The task without its command (`unit` then says "framed"), or all of it."""
    text = reading.text
    stripped = text.strip()
    if not stripped:
        return
    begin = _POLITE.match(text)
    start = begin.end() if begin else 0
    words = [word for word in reading.words if word.start >= start]
    if not words:
        return
    first = words[0]
    about = _question(words) if meaning is Meaning.QUERY else 0
    if about:
        yield _tail(text.rstrip("?!. "), words[about].start, "framed")
        return
    verbs = _ASKING | _SAYING if meaning is Meaning.QUERY else _SAYING
    if first.text.lower() in verbs or first.stem in tool_stems:
        at = 1
        while at < len(words) and at < 10:
            low = words[at].text.lower()
            if low in _LINKS:
                at += 1
                if low != "up":
                    break
            elif low in _DETERMINERS and meaning is Meaning.QUERY and _link_after(words, at):
                at = _link_after(words, at)
            elif low in _FILLERS or words[at].stem in tool_stems:
                at += 1
            else:
                break
        if at < len(words):
            tail = _tail(text, words[at].start, "framed")
            if not _quotes(reading, tail):
                yield tail
            return
    yield _tail(text, len(text) - len(text.lstrip()), "")


def _quotes(reading: Reading, tail: Span) -> bool:
    """Whether a quotation stands in the tail: then that is what was meant."""
    return any(
        span.kind is Kind.QUOTED
        and tail.start <= span.start
        and span.end <= tail.end
        and span.text != tail.text
        for span in reading.spans
    )


def _question(words: Sequence[Token]) -> int:
    """Index of what "what do I know about X" is about; 0 for any other text."""
    for index, word in enumerate(words[:8]):
        low = word.text.lower()
        if (
            low == "about"
            and index
            and index + 1 < len(words)
            and words[0].text.lower() in ("what", "anything")
        ):
            return index + 1
        if not is_function_word(low) and low not in _KNOWING:
            return 0
    return 0


def _link_after(words: Sequence[Token], at: int) -> int:
    """Index of the "for" or "about" that ends "my memory for", at most three words on; 0 without one."""
    for index in range(at + 1, min(at + 4, len(words) - 1)):
        if words[index].text.lower() in ("for", "about"):
            return index
        if is_function_word(words[index].text):
            return 0
    return 0


def _tail(text: str, start: int, how: str) -> Span:
    piece = text[start:].rstrip()
    body = piece[:-1] if piece.endswith(".") and piece.count(".") == 1 and len(piece) > 1 else piece
    body = body.strip("\"'`“”")
    at = text.index(body, start) if body else start
    return Span(Kind.TEXT, at, at + len(body), body, body, unit=how)
