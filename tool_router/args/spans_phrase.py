"""Spans that are words: proper names, noun phrases between function words, and lists of either."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from tool_router.args.span import Kind, Span
from tool_router.args.words import COMMAND_WORDS, Token, is_function_word

_JOINERS = frozenset(
    {"of", "the", "de", "la", "del", "da", "di", "van", "von", "der", "du", "le", "and", "&", "for", "in"}
)
_WEAK_JOINERS = frozenset({"and", "&", "for", "in", "the"})
_GEOGRAPHIC = frozenset(
    """river lake county state city park island islands ocean sea mountain mountains valley bay beach
    forest desert district province region airport university street avenue road square""".split()
)
_SENTENCE_MARKS = frozenset(".!?:;\n")
_SEPARATOR = re.compile(
    r"\s*(?:,\s*(?:and|or|&)?|;|\band\b|\bor\b|&|\bas well as\b|\bplus\b)\s*", re.IGNORECASE
)
_INITIAL = re.compile(r"[A-Z]\.?$")
_TITLES = frozenset({"Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Jr", "Sr"})
_ADDRESS = re.compile(
    r"\b\d{1,6}\s+(?:[\w.']+\s+){1,4}(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|square|way)\b\.?",
    re.IGNORECASE,
)
_STATE = re.compile(r"[A-Z]{2}|D\.?C\.?")
_BREAKS = frozenset('()[]{}"“”`,;:!?=<>|')


def name_spans(text: str, words: Sequence[Token]) -> Iterator[Span]:
    """Runs of capitalised words: people, places, companies, titles.

    The first word of a sentence is capitalised anyway, so it only counts inside a longer run or when it is
    written all in capitals.
    """
    at = 0
    while at < len(words):
        if not _capital(words[at]):
            at += 1
            continue
        end = _run_end(text, words, at)
        first = at
        if _opens_sentence(text, words, at):
            if end - at == 1 and not _shouted(words[at]) and not _possessive(words, end):
                at = end
                continue
            if is_function_word(words[at].text) or words[at].text.lower() in COMMAND_WORDS:
                first = at + 1
        if end > first and not is_function_word(words[first].text):
            yield _span(Kind.NAME, text, words[first].start, _stop(text, words[end - 1]))
            if first == at and end - first > 1 and _opens_sentence(text, words, at):
                yield _span(Kind.NAME, text, words[first + 1].start, _stop(text, words[end - 1]))
            if (
                end < len(words)
                and words[end].text.lower() in _GEOGRAPHIC
                and words[end].start == words[end - 1].end + 1
            ):
                yield replace(_span(Kind.NAME, text, words[first].start, words[end].end), unit="extended")
        at = max(end, at + 1)


def address_spans(text: str) -> Iterator[Span]:
    """Street addresses: a house number, words, and a kind of street."""
    for match in _ADDRESS.finditer(text):
        yield Span(Kind.NAME, *match.span(), match.group(), match.group(), unit="address")


def place_spans(text: str, names: Sequence[Span]) -> Iterator[Span]:
    """Two names joined by one comma ("Austin, TX"), as the one place they often are; `unit` says "pair"."""
    ordered = sorted(names, key=lambda span: (span.start, -span.end))
    for one, other in pairwise(ordered):
        if text[one.end : other.start] in (", ", ",") and (
            text[other.end : other.end + 1] != "," or _STATE.fullmatch(other.text)
        ):
            piece = text[one.start : other.end]
            yield Span(Kind.NAME, one.start, other.end, piece, piece, unit="pair")


def _capital(token: Token) -> bool:
    return token.text[0].isupper()


def _shouted(token: Token) -> bool:
    return len(token.text) > 1 and token.text.isupper()


def _possessive(words: Sequence[Token], at: int) -> bool:
    return at < len(words) and words[at].text in ("'s", "’s")


def _opens_sentence(text: str, words: Sequence[Token], at: int) -> bool:
    if at == 0:
        return True
    before = words[at - 1]
    if before.text in "\"“'":
        return _opens_sentence(text, words, at - 1)
    return before.text in _SENTENCE_MARKS or "\n" in text[before.end : words[at].start]


def _stop(text: str, last: Token) -> int:
    """The end of a name; an abbreviation keeps its full stop ("Washington D.C.", "ABC Ltd.")."""
    return last.end


def _run_end(text: str, words: Sequence[Token], at: int) -> int:
    """Index after the last word of the name that begins at `at`."""
    end = at + 1
    index = at + 1
    while index < len(words):
        token = words[index]
        gap = text[words[index - 1].end : token.start]
        if (
            gap
            and words[index - 1].text == "."
            and index - at > 2
            and words[index - 3].text == "."
            and _capital(words[at])
            and len(words[at].text) > 1
        ):
            break
        if (_capital(token) and len(gap) <= 1 and "\n" not in gap) or (
            token.text == "."
            and not gap
            and end == index
            and (_INITIAL.match(words[index - 1].text) or words[index - 1].text in _TITLES)
        ):
            index += 1
            end = index
        elif token.text in ("-", "&") and not gap and index + 1 < len(words) and _adjoins(words, index):
            index += 2
            end = index
        elif (token.text.isdigit() and gap == " " and end == index and len(token.text) < 4) or (
            token.text.lower() in _JOINERS - _WEAK_JOINERS and gap == " " and _name_follows(words, index + 1)
        ):
            index += 1
        else:
            break
    return end


def _adjoins(words: Sequence[Token], index: int) -> bool:
    following = words[index + 1]
    return following.start == words[index].end and following.is_word


def _name_follows(words: Sequence[Token], index: int) -> bool:
    if index < len(words) and words[index].text.lower() == "the":
        index += 1
    return index < len(words) and _capital(words[index])


def phrase_spans(text: str, words: Sequence[Token], taken: Sequence[Span]) -> Iterator[Span]:
    """Runs of content words between function words and punctuation, outside what other spans cover."""
    run: list[Token] = []
    blocked = sorted((span.start, span.end) for span in taken)
    at = 0
    for index, token in enumerate(words):
        while at < len(blocked) and blocked[at][1] <= token.start:
            at += 1
        covered = at < len(blocked) and blocked[at][0] < token.end
        hyphen = token.text in "-–/" and bool(run) and run[-1].end == token.start and _adjoined(words, index)
        wordy = hyphen or (token.is_word and not is_function_word(token.text))
        if wordy and not covered and (not run or "\n" not in text[run[-1].end : token.start]):
            run.append(token)
            continue
        if run:
            yield _span(Kind.PHRASE, text, run[0].start, run[-1].end)
        run = [token] if wordy and not covered else []
    if run:
        yield _span(Kind.PHRASE, text, run[0].start, run[-1].end)


def _adjoined(words: Sequence[Token], index: int) -> bool:
    return index + 1 < len(words) and _adjoins(words, index)


def list_spans(text: str, spans: Sequence[Span]) -> Iterator[Span]:
    """Two or more neighbours of one kind joined by commas, "and" or "or", read as one list."""
    for kind in (Kind.QUOTED, Kind.NUMBER, Kind.NAME, Kind.PHRASE, Kind.IDENTIFIER, Kind.URL, Kind.PATH,
                 Kind.EMAIL, Kind.JSON, Kind.DATE, Kind.TIME):  # fmt: skip
        members = sorted(
            (span for span in spans if span.kind is kind), key=lambda span: (span.start, -span.end)
        )
        run: list[Span] = []
        for span in members:
            if run and span.start < run[-1].end:
                continue
            if run and not _separates(text[run[-1].end : span.start], numeric=kind is Kind.NUMBER):
                yield from _listed(text, run)
                run = []
            run.append(span)
        yield from _listed(text, run)


def _separates(gap: str, *, numeric: bool) -> bool:
    return (len(gap) <= 24 and _SEPARATOR.fullmatch(gap.strip("\"'”’`")) is not None) or (
        numeric and gap.strip() in ("to", "-", "–")
    )


def _listed(text: str, run: list[Span]) -> Iterator[Span]:
    if len(run) >= 2 and all(a.end <= b.start for a, b in pairwise(run)):
        start, end = run[0].start, run[-1].end
        values = [span.value for span in run]
        yield Span(Kind.LIST, start, end, text[start:end], values, items=tuple(run))


def _span(kind: Kind, text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return Span(kind, start, end, piece, piece)
