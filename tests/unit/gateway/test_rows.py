"""How rows of a gateway's catalog become tools, and that nothing in them loses the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway_server import row
from tool_router.catalog.model import Availability, Hints, Tool
from tool_router.gateway.rows import MAX_SCHEMA_DEPTH, contextforge_tool, mcp_tool, told_apart


def tool_of(**fields: Any) -> Tool:
    found = contextforge_tool(row("get_current_time", **fields))
    assert found is not None
    return found


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


def test_a_row_becomes_a_tool_that_is_called_by_the_gateways_name_for_it() -> None:
    found = tool_of(
        title="Current time",
        annotations={"readOnlyHint": True, "destructiveHint": False, "openWorldHint": "yes"},
        tags=[{"id": "clock", "label": "Clock"}, "utility", {"id": "bare"}, 7],
    )
    assert found.id == "time::get_current_time"
    assert (found.name, found.server, found.call_name) == (
        "get_current_time",
        "time",
        "time-get-current-time",
    )
    assert found.title == "Current time"
    assert found.description == "Does get_current_time."
    assert found.hints == Hints(read_only=True, destructive=False)
    assert found.tags == ("Clock", "utility", "bare")
    assert found.available


def test_a_rest_tool_belongs_to_the_host_it_calls() -> None:
    found = contextforge_tool(row("list_orders", None))
    assert found is not None
    assert found.id == "api.example.com::list_orders"


@pytest.mark.parametrize(
    ("fields", "availability", "reason"),
    [
        ({"enabled": False}, Availability.DISABLED, "switched off"),
        ({"reachable": False}, Availability.UNREACHABLE, "can't reach time"),
        ({"deprecated": True}, Availability.DISABLED, "deprecated"),
        ({"enabled": False, "reachable": False}, Availability.DISABLED, "switched off"),
    ],
)
def test_a_tool_that_the_gateway_would_refuse_says_why(
    fields: dict[str, Any], availability: Availability, reason: str
) -> None:
    found = tool_of(**fields)
    assert found.availability is availability
    assert reason in found.unavailable_reason


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (True, True),
        (False, False),
        ({"$ref": "#"}, {"$ref": "#"}),
        ({"type": "no such type"}, {"type": "no such type"}),
        (None, {}),
        ("object", {}),
        ([1], {}),
        (nested(MAX_SCHEMA_DEPTH - 1), nested(MAX_SCHEMA_DEPTH - 1)),
        (nested(MAX_SCHEMA_DEPTH + 1), {}),
    ],
)
def test_a_schema_is_kept_as_it_came_unless_it_is_none(given: Any, kept: Any) -> None:
    assert tool_of(inputSchema=given).input_schema == kept


@pytest.mark.parametrize("odd", [None, 7, ["x"], {"a": 1}])
@pytest.mark.parametrize(
    "field", ["originalName", "description", "title", "annotations", "gatewaySlug", "tags", "url", "enabled"]
)
def test_a_field_of_the_wrong_type_counts_as_absent(field: str, odd: object) -> None:
    found = tool_of(**{field: odd})
    assert found.call_name == "time-get-current-time"
    assert found.name


@pytest.mark.parametrize("odd", [None, "row", 7, [], {}, {"name": ""}, {"name": 7}, {"name": "  "}])
def test_a_row_without_a_name_is_no_tool(odd: object) -> None:
    assert contextforge_tool(odd) is None
    assert mcp_tool(odd, "server") is None


def test_an_mcp_tool_may_have_its_title_among_its_annotations() -> None:
    found = mcp_tool({"name": "add", "annotations": {"title": "Add", "idempotentHint": True}}, "sums")
    assert found == Tool(
        id="sums::add",
        name="add",
        server="sums",
        title="Add",
        call_name="add",
        hints=Hints(idempotent=True),
    )


def test_tools_with_one_id_are_told_apart_by_what_the_gateway_calls_them() -> None:
    first = tool_of()
    second = tool_of(name="time-get-current-time-2")
    listed = told_apart([first, second])
    assert [tool.id for tool in listed] == ["time::get_current_time", "time::time-get-current-time-2"]
    assert all(tool.available for tool in listed)


def test_tools_that_share_a_call_name_are_all_listed_and_none_is_callable() -> None:
    listed = told_apart([tool_of(), tool_of(), tool_of(), tool_of(originalName="other")])
    assert len({tool.id for tool in listed}) == 4
    assert all(tool.availability is Availability.DISABLED for tool in listed)
    assert "4 tools of the gateway are named 'time-get-current-time'" in listed[0].unavailable_reason


def test_a_call_name_shared_with_a_disabled_tool_stays_callable() -> None:
    enabled, disabled = told_apart([tool_of(), tool_of(enabled=False)])
    assert enabled.available
    assert "switched off" in disabled.unavailable_reason
