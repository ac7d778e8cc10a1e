"""What each form of value looks like in a text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tool_router.args.model import Source
from tool_router.args.span import Kind, Span
from tool_router.args.spans import MAX_SPANS, MAX_TEXT, read

UUID = "123e4567-e89b-12d3-a456-426614174000"
NOW = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)


def spans(text: str, kind: Kind) -> list[Span]:
    return [span for span in read(text, Source.TASK, NOW).spans if span.kind is kind]


def values(text: str, kind: Kind) -> list[Any]:
    return [span.value for span in spans(text, kind)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('say "hi there" now', "hi there"),
        ("say 'hi there' now", "hi there"),
        ("say “hi there” now", "hi there"),
        ("say „hi there“ now", "hi there"),
        ("say «hi there» now", "hi there"),
        ("say `hi there` now", "hi there"),
        ("「東京」の天気", "東京"),
        ("请检索'红星科技'公司", "红星科技"),
        ('the post with the ID "rOBhSVKGVKe.', "rOBhSVKGVKe"),
        ('the club named "Cypress Point Club.', "Cypress Point Club"),
        ('tell them "don\'t be late"', "don't be late"),
    ],
)
def test_quotations_of_every_style_and_unclosed_ones_are_read(text: str, value: str) -> None:
    assert values(text, Kind.QUOTED) == [value]


def test_an_apostrophe_opens_no_quotation() -> None:
    assert values("what's Bob's and the dogs' dinner", Kind.QUOTED) == []


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("a walk of 5 km", 5, "km"),
        ("it costs $20", 20, "$"),
        ("it costs $2.5 million", 2_500_000, "$"),
        ("a rate of 10%", 10, "%"),
        ("a rate of 10 percent", 10, "%"),
        ("about 1,000 people", 1000, "people"),
        ("a charge of 1e-9", 1e-9, ""),
        ("it was -3.", -3, ""),
        ("two rooms", 2, "rooms"),
        ("twenty five rooms", 25, "rooms"),
        ("a capacity of 100µF", 100, "µF"),
        ("the 19th century", 19, "th"),
        ("an 8-year-old child", 8, "year"),
    ],
)
def test_numbers_are_read_with_their_units(text: str, value: float, unit: str) -> None:
    [span] = spans(text, Kind.NUMBER)
    assert (span.value, span.unit) == (value, unit)


@pytest.mark.parametrize(
    "text", ["version 1.2.3", "on 2024-03-05", "order AB12CD34", "host 10.0.0.1", "in m/s^2"]
)
def test_digits_inside_something_longer_are_no_number(text: str) -> None:
    assert values(text, Kind.NUMBER) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on 2024-03-05", "2024-03-05"),
        ("on March 5th, 2024", "2024-03-05"),
        ("on the 5th of March 2024", "2024-03-05"),
        ("on 5 Mar 2024", "2024-03-05"),
        ("on 25/12/2024", "2024-12-25"),
        ("in March 2024", "2024-03"),
        ("on March 5", "2024-03-05"),
        ("tomorrow", "2024-05-16"),
    ],
)
def test_dates_are_read_as_iso(text: str, value: str) -> None:
    assert values(text, Kind.DATE) == [value]


def test_a_day_that_does_not_exist_is_no_date() -> None:
    assert values("on 2024-02-31", Kind.DATE) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("at 14:30", "14:30"), ("at 2:47 p.m.", "14:47"), ("at 12am", "00:00"), ("at noon", "12:00"),
     ("at 3 in the afternoon", "15:00")],
)  # fmt: skip
def test_times_are_read_on_the_24_hour_clock(text: str, value: str) -> None:
    assert values(text, Kind.TIME) == [value]


def test_a_date_beside_a_time_is_also_one_moment() -> None:
    assert values("on March 5, 2024 at 2pm", Kind.DATETIME) == ["2024-03-05T14:00"]


def test_a_duration_of_two_parts_is_counted_in_seconds() -> None:
    assert values("for 1 hour and 30 minutes", Kind.DURATION) == [5400]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("see https://example.com/a?b=c.", Kind.URL, "https://example.com/a?b=c"),
        ("(https://example.com/a_(b))", Kind.URL, "https://example.com/a_(b)"),
        ("mail ada@example.org, please", Kind.EMAIL, "ada@example.org"),
        ("open ./a/b.txt.", Kind.PATH, "./a/b.txt"),
        ("open ~/x", Kind.PATH, "~/x"),
        (r"open C:\data\x.csv", Kind.PATH, r"C:\data\x.csv"),
        ("open report.pdf", Kind.PATH, "report.pdf"),
        (f"order {UUID}", Kind.IDENTIFIER, UUID),
        ("fix PROJ-123", Kind.IDENTIFIER, "PROJ-123"),
        ("the user_id column", Kind.IDENTIFIER, "user_id"),
        ("commit 3f2a9bc", Kind.IDENTIFIER, "3f2a9bc"),
        ("ping 10.0.0.1", Kind.IDENTIFIER, "10.0.0.1"),
        ("matching *.py files", Kind.CODE, "*.py"),
        ("derive 3x^2 + 2x - 1.", Kind.CODE, "3x^2 + 2x - 1"),
        ('with {"a": [1, 2]}', Kind.JSON, {"a": [1, 2]}),
        ("sort [3, 1, 2]", Kind.JSON, [3, 1, 2]),
        ("at (40.7, -74.0)", Kind.JSON, [40.7, -74.0]),
        ("tags [red, dark blue]", Kind.JSON, ["red", "dark blue"]),
    ],
)  # fmt: skip
def test_telling_shapes_are_recognised(text: str, kind: Kind, value: Any) -> None:
    assert value in values(text, kind)


def test_a_repository_is_read_whole_and_in_halves() -> None:
    assert values("in octocat/hello-world", Kind.REPO) == ["octocat/hello-world", "octocat", "hello-world"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Tell Ada Lovelace about it", "Ada Lovelace"),
        ("The Bank of America is closed", "Bank of America"),
        ("who is LeBron James", "LeBron James"),
        ("ask Mr. Gates", "Mr. Gates"),
        ("near Santa Clara county", "Santa Clara county"),
        ("live at 123 main street", "123 main street"),
        ("fly to Austin, TX", "Austin, TX"),
    ],
)
def test_names_are_runs_of_capitalised_words(text: str, value: str) -> None:
    assert value in values(text, Kind.NAME)


def test_the_verb_that_opens_a_sentence_is_no_name() -> None:
    assert values("Find it. Choose Paypal", Kind.NAME) == ["Paypal"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("compare 3, 4 and 5", [3, 4, 5]),
        ('add "a", "b" and "c"', ["a", "b", "c"]),
        ("visit Rome, Oslo or Bern", ["Rome", "Oslo", "Bern"]),
    ],
)
def test_neighbours_of_one_kind_are_also_a_list(text: str, value: list[Any]) -> None:
    assert value in values(text, Kind.LIST)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("limit=5", "limit", 5),
        ("a = -3 and so on", "a", -3),
        ("priority=high", "priority", "high"),
        ('title: "Docs"', "title", "Docs"),
        ("f(items=['x', 'y'])", "items", ["x", "y"]),
    ],
)
def test_a_value_keeps_the_key_it_was_given(text: str, key: str, value: Any) -> None:
    assert (key, value) in [(span.key, span.value) for span in read(text, Source.TASK).spans]


def test_only_a_bounded_part_of_a_long_text_is_read() -> None:
    reading = read("word 12 " * 10_000, Source.TASK)
    assert len(reading.text) == MAX_TEXT
    assert reading.truncated
    assert len(reading.spans) <= MAX_SPANS
