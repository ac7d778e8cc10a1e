"""What an endpoint answers by itself, and what it changes of what passes through it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from mcp import MCPError

from service_manager.endpoint import answers
from service_manager.errors import ServiceStartFailed
from service_manager.lifecycle.known import Known

ABOUT: dict[str, Any] = {
    "protocolVersion": "2025-06-18",
    "serverInfo": {"name": "clock", "version": "3", "title": "Clock"},
    "capabilities": {
        "tools": {"listChanged": False, "x": 1},
        "logging": {},
        "resources": {"subscribe": True},
        "tasks": {"list": {}},
        "experimental": {"odd": {"deep": True}},
    },
    "instructions": "Wind it up.",
}
TOOLS: dict[str, Any] = {
    "tools": [{"name": "now", "inputSchema": {"type": "object"}, "xOdd": None}],
    "xMore": 1,
}
KNOWN = Known(ABOUT, {"tools/list": TOOLS})
SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def test_it_introduces_the_service_and_keeps_the_version_that_was_negotiated() -> None:
    base = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "serverInfo": {"name": "us"},
        "instructions": "x",
    }
    answer = answers.introduced(base, KNOWN, "entry")
    assert answer["protocolVersion"] == "2025-11-25"
    assert answer["serverInfo"] == ABOUT["serverInfo"]
    assert answer["instructions"] == "Wind it up."
    assert "instructions" not in answers.introduced(base, Known({"capabilities": {}}), "entry")


def test_it_offers_what_the_service_does_but_tasks_and_always_tells_of_changed_lists() -> None:
    before = copy.deepcopy(ABOUT)
    assert answers.capabilities(KNOWN) == {
        "tools": {"listChanged": True, "x": 1},
        "logging": {},
        "resources": {"subscribe": True, "listChanged": True},
        "experimental": {"odd": {"deep": True}},
    }
    assert before == ABOUT


@pytest.mark.parametrize("known", [Known(), Known({}, {"tools/list": TOOLS})])
def test_a_service_that_never_ran_is_called_by_its_entry_and_has_tools(known: Known) -> None:
    answer = answers.introduced({"protocolVersion": "2025-11-25"}, known, "entry")
    assert answer["serverInfo"] == {"name": "entry", "version": ""}
    assert answer["capabilities"] == {"tools": {"listChanged": True}}


def test_discover_carries_the_services_name_where_that_protocol_wants_it() -> None:
    answer = answers.discovered({"supportedVersions": ["2026-07-28"], "_meta": {"k": 1}}, KNOWN, "entry")
    assert answer["supportedVersions"] == ["2026-07-28"]
    assert answer["_meta"] == {"k": 1, SERVER_INFO: ABOUT["serverInfo"]}


def test_a_listing_is_given_as_it_is_known_on_one_page() -> None:
    assert answers.listing(KNOWN, "tools/list", None) == TOOLS
    assert answers.listing(KNOWN, "tools/list", {"cursor": None}) == TOOLS
    with pytest.raises(MCPError, match="no cursor"):
        answers.listing(KNOWN, "tools/list", {"cursor": "2"})


def test_what_the_service_cannot_list_is_said_without_asking_it() -> None:
    with pytest.raises(MCPError) as raised:
        answers.listing(KNOWN, "prompts/list", None)
    assert raised.value.code == -32601


@pytest.mark.parametrize(
    ("known", "method"), [(KNOWN, "resources/list"), (Known(), "tools/list"), (Known(), "prompts/list")]
)
def test_what_is_not_known_has_to_be_asked(known: Known, method: str) -> None:
    assert answers.listing(known, method, None) is None


def test_a_tools_schema_is_found_by_name() -> None:
    assert answers.input_schema(KNOWN, "now") == {"type": "object"}
    assert answers.input_schema(KNOWN, "then") is None
    assert answers.input_schema(Known(), "now") is None


@pytest.mark.parametrize(
    ("params", "passed", "progress"),
    [
        (None, None, False),
        ({"name": "x"}, {"name": "x"}, False),
        ({"name": "x", "_meta": {"progressToken": 0}}, {"name": "x"}, True),
        ({"_meta": {"progressToken": "a", "traceparent": "t"}}, {"_meta": {"traceparent": "t"}}, True),
        (
            {
                "arguments": {"a": None},
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": {"name": "c"},
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/logLevel": "debug",
                    "x/own": {"kept": None},
                },
            },
            {"arguments": {"a": None}, "_meta": {"x/own": {"kept": None}}},
            False,
        ),
        ({"_meta": "broken"}, {"_meta": "broken"}, False),
    ],
)
def test_the_service_gets_what_the_client_said_but_what_the_client_said_of_itself(
    params: dict[str, Any] | None, passed: dict[str, Any] | None, progress: bool
) -> None:
    before = copy.deepcopy(params)
    assert answers.upstream(params) == (passed, progress)
    assert params == before


def test_a_client_of_the_handshake_era_gets_a_result_untouched() -> None:
    result: dict[str, Any] = {"content": [], "xOdd": None, "_meta": {"a": None}, "resultType": "complete"}
    before = copy.deepcopy(result)
    assert answers.answered(result, "tools/call", KNOWN, "entry", modern=False) == before


def test_a_client_of_the_later_era_gets_what_its_protocol_wants_and_the_rest_untouched() -> None:
    result: dict[str, Any] = {"content": [], "xOdd": None, "_meta": {"a": None}}
    assert answers.answered(result, "tools/call", KNOWN, "entry", modern=True) == {
        "content": [],
        "xOdd": None,
        "_meta": {"a": None, SERVER_INFO: ABOUT["serverInfo"]},
        "resultType": "complete",
    }
    told = answers.answered(
        {"contents": [], "ttlMs": 5, "cacheScope": "public"}, "resources/read", KNOWN, "e", modern=True
    )
    assert (told["ttlMs"], told["cacheScope"]) == (5, "public")
    listed = answers.answered(dict(TOOLS), "tools/list", KNOWN, "e", modern=True)
    assert (listed["ttlMs"], listed["cacheScope"]) == (0, "private")
    assert "ttlMs" not in TOOLS


def test_a_question_back_reaches_only_clients_that_can_answer_it() -> None:
    asking: dict[str, Any] = {"resultType": "input_required", "inputRequests": {}}
    assert answers.answered(dict(asking), "tools/call", KNOWN, "e", modern=True)["inputRequests"] == {}
    with pytest.raises(MCPError, match="can't answer"):
        answers.answered(dict(asking), "tools/call", KNOWN, "e", modern=False)


def test_an_error_of_ours_says_its_kind_and_what_to_do() -> None:
    error = answers.as_mcp_error(ServiceStartFailed("It died.", "Look.", ("boom",)))
    assert (error.code, error.message) == (-32603, "It died. Look.")
    assert error.data == {
        "error": "ServiceStartFailed",
        "tried": "It died.",
        "next_step": "Look.",
        "stderr_tail": ["boom"],
    }
