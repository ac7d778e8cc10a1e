"""How spans find their parameters: by name, role, unit, order, and once each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.args.tools import TEXT, record, said, tool
from tool_router.args.build import build
from tool_router.args.model import Source

INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}


def drafted(schema: dict[str, Any], task: str, description: str = "Does something") -> dict[str, Any]:
    return build(tool("do_it", description, schema), task).arguments


def test_words_beside_a_value_decide_against_its_position() -> None:
    schema = record(height=INTEGER, width=INTEGER)
    assert drafted(schema, "a box with a width of 3 and a height of 7") == {"height": 7, "width": 3}


def test_each_span_is_used_once_and_the_total_decides() -> None:
    """A greedy choice would give the first integer to the first parameter."""
    schema = record(amount=INTEGER, year=INTEGER)
    assert drafted(schema, "in 2019 there were 40") == {"amount": 40, "year": 2019}


def test_two_parameters_never_share_one_number() -> None:
    draft = build(tool("do_it", "Does it", record(rows=INTEGER, columns=INTEGER)), "a table with 4 rows")
    assert draft.arguments == {"rows": 4}
    assert draft.missing == ("columns",)


def test_numbered_siblings_are_filled_in_order() -> None:
    schema = record(side1=INTEGER, side2=INTEGER, side3=INTEGER)
    assert drafted(schema, "a triangle with the sides 5, 4 and 3") == {"side1": 5, "side2": 4, "side3": 3}


def test_a_count_of_the_siblings_is_no_value_of_theirs() -> None:
    schema = record(num1=INTEGER, num2=INTEGER)
    assert drafted(schema, "compare the two numbers 36 and 48") == {"num1": 36, "num2": 48}


@pytest.mark.parametrize(
    "task", ["fly from Oslo to Rome", "fly to Rome from Oslo", "a flight between Oslo and Rome"]
)
def test_prepositions_tell_the_start_from_the_end(task: str) -> None:
    schema = record(origin=said("City of departure"), destination=said("City of arrival"))
    assert drafted(schema, task) == {"origin": "Oslo", "destination": "Rome"}


def test_city_and_country_take_their_parts_of_a_pair() -> None:
    schema = record(city=said("The city"), country=said("The country"))
    assert drafted(schema, "the weather in Tokyo, Japan") == {"city": "Tokyo", "country": "Japan"}


@pytest.mark.parametrize(
    ("description", "task", "value"),
    [
        ("Duration in minutes", "run for 2 hours", 120),
        ("Duration in seconds", "run for 5 minutes", 300),
        ("The length in kilometers", "a run of 500 m", 0.5),
        ("The mass in kg", "a mass of 250 g", 0.25),
        ("The interest rate as a decimal", "at 5%", 0.05),
        ("The share in percent", "a share of 5%", 5),
        ("The price in USD", "it costs $1,299.99", 1299.99),
    ],
)
def test_a_quantity_is_converted_to_the_unit_the_description_names(
    description: str, task: str, value: float
) -> None:
    assert drafted(record(x=said(description, "number")), task) == {"x": value}


@pytest.mark.parametrize(
    ("layout", "written"),
    [
        ("", "2024-03-05"),
        ("in the format DD/MM/YYYY", "05/03/2024"),
        ("as MM-DD-YYYY", "03-05-2024"),
        ("(YYYY/MM/DD)", "2024/03/05"),
    ],
)
def test_a_date_is_written_in_the_layout_the_description_shows(layout: str, written: str) -> None:
    schema = record(date=said(f"The date {layout}".strip()))
    assert drafted(schema, "on March 5th, 2024") == {"date": written}


@pytest.mark.parametrize(
    ("task", "value"),
    [
        ("set the mode to cool", "COOL"),
        ("switch to air drying", "AIR_DRY"),
        ('use "air_clean"', "AIR_CLEAN"),
        ("set it to cooool", None),
    ],
)
def test_enum_members_are_found_by_their_words(task: str, value: str | None) -> None:
    schema = record(mode={"type": "string", "enum": ["AIR_CLEAN", "COOL", "AIR_DRY"]})
    assert drafted(schema, task).get("mode") == value


@pytest.mark.parametrize(
    ("description", "task", "value"),
    [
        ("'c' for Celsius, 'f' for Fahrenheit", "in fahrenheit please", "f"),
        ("The kind of dance (e.g., tango, salsa)", "teach me a salsa", "salsa"),
        ("The sort of animal, such as 'Dog' or 'Cat'", "feed the cat", "Cat"),
    ],
)
def test_values_a_description_names_are_recognised(description: str, task: str, value: str) -> None:
    assert drafted(record(x=said(description)), task) == {"x": value}


def test_a_labelled_number_stands_for_its_label() -> None:
    schema = record(service_id=said("1 for cleaning, 2 for ironing", "integer"))
    assert drafted(schema, "someone who does ironing") == {"service_id": 2}


@pytest.mark.parametrize(
    ("task", "value"),
    [
        ("the forecast including precipitation", True),
        ("the forecast without precipitation", False),
        ("the forecast, I don't need precipitation", False),
        ("the forecast", None),
    ],
)
def test_a_flag_is_set_by_mention_and_cleared_by_denial(task: str, value: bool | None) -> None:
    schema = record([], include_precipitation={"type": "boolean"})
    assert drafted(schema, task).get("include_precipitation") is value


def test_a_denied_option_is_not_chosen() -> None:
    schema = record([], status={"type": "string", "enum": ["open", "closed"]})
    assert drafted(schema, "list the issues, but not the closed ones") == {}


def test_an_optional_parameter_is_left_to_the_tool_unless_it_is_mentioned() -> None:
    schema = record(["query"], query=TEXT, limit={"type": "integer", "default": 10})
    assert drafted(schema, 'search for "tea"') == {"query": "tea"}
    assert drafted(schema, 'search for "tea" with a limit of 3') == {"query": "tea", "limit": 3}


def test_a_required_parameter_falls_back_on_its_default() -> None:
    schema = record(query=TEXT, page={"type": "integer", "default": 1})
    draft = build(tool("search", "Search", schema), 'search for "tea"')
    assert draft.values["page"].value == 1
    assert draft.values["page"].source is Source.DEFAULT
    assert draft.clear


@pytest.mark.parametrize(
    ("items", "task", "value"),
    [
        (INTEGER, "sort [3, 1, 2]", [3, 1, 2]),
        (INTEGER, "sort the values 3, 1 and 2", [3, 1, 2]),
        (TEXT, 'sort the values "b", "a"', ["b", "a"]),
        (TEXT, "sort the values Bern, Oslo and Rome", ["Bern", "Oslo", "Rome"]),
        ({"type": "string", "enum": ["name", "age", "city"]}, "sort by age and by name", ["age", "name"]),
    ],
)
def test_lists_are_filled_from_lists_in_the_text(items: dict[str, Any], task: str, value: list[Any]) -> None:
    schema = record(values=said("The values to sort", "array", items=items))
    assert drafted(schema, task, "Sort something") == {"values": value}


def test_a_value_given_by_name_goes_to_that_parameter_only() -> None:
    schema = record(b=INTEGER, a=INTEGER, c=INTEGER)
    assert drafted(schema, "solve it for a=2, b=-5 and c=3") == {"b": -5, "a": 2, "c": 3}


def test_a_place_in_the_wrong_form_is_doubted() -> None:
    schema = record(location=said("In the format 'City, State', such as 'Austin, TX'"))
    weather = tool("weather", "Get the weather", schema)
    assert build(weather, "the weather in Austin, TX").clear
    assert not build(weather, "the weather in Austin").clear


def test_a_name_where_a_code_is_asked_for_is_doubted() -> None:
    schema = record(airport=said("The IATA code"))
    flights = tool("flights", "List the flights of an airport", schema)
    assert not build(flights, "flights of the airport Oslo").clear


def test_nested_objects_are_filled_by_name() -> None:
    schema = record(range=record(start=INTEGER, end=INTEGER))
    assert drafted(schema, "from 3 to 9") == {"range": {"start": 3, "end": 9}}


def test_json_in_the_text_fills_an_object_whole() -> None:
    schema = record(filter={"type": "object"})
    assert drafted(schema, 'with the filter {"a": [1]}') == {"filter": {"a": [1]}}
