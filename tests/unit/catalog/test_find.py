from __future__ import annotations

import pytest

from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.catalog.find import find
from tool_router.catalog.model import Catalog
from tool_router.errors import AmbiguousTool, UnknownTool

CATALOG = a_catalog(
    a_tool("search", "web", call_name="web-search"),
    a_tool("search", "files", call_name="files-search"),
    a_tool("readFile", "files", call_name="files-readfile"),
    a_tool("READFILE", "legacy", call_name="legacy-x"),
    a_tool("convert_time", "time", call_name="time-convert-time"),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("files::search", "files::search"),
        ("web-search", "web::search"),
        ("convert_time", "time::convert_time"),
        ("  convert_time\n", "time::convert_time"),
        ("CONVERT_TIME", "time::convert_time"),
        ("TIME::Convert_Time", "time::convert_time"),
        ("WEB-SEARCH", "web::search"),
        ("readFile", "files::readFile"),
        ("READFILE", "legacy::READFILE"),
    ],
)
def test_a_name_finds_its_tool(name: str, expected: str) -> None:
    assert find(CATALOG, name).id == expected


def test_a_bare_name_of_several_tools_names_none_of_them() -> None:
    with pytest.raises(AmbiguousTool) as caught:
        find(CATALOG, "search")
    assert caught.value.nearest == ("web::search", "files::search")
    assert "web::search, files::search" in str(caught.value)


def test_names_that_differ_only_in_case_are_ambiguous_in_a_third_case() -> None:
    with pytest.raises(AmbiguousTool, match="'readfile'"):
        find(CATALOG, "readfile")


@pytest.mark.parametrize("typo", ["convrt_time", "convert time", "time.convert_time", "time:convert-time"])
def test_an_unknown_name_brings_the_nearest_first(typo: str) -> None:
    with pytest.raises(UnknownTool) as caught:
        find(CATALOG, typo)
    assert caught.value.nearest[0] == "time::convert_time"


@pytest.mark.parametrize("name", ["", "   ", "qqqqqqqq", "x" * 1_000_000, "\x00\ud800"])
def test_a_name_like_nothing_is_unknown_without_suggestions(name: str) -> None:
    with pytest.raises(UnknownTool) as caught:
        find(CATALOG, name)
    assert caught.value.nearest == ()
    assert len(str(caught.value)) < 1000


def test_an_empty_catalog_has_no_tool() -> None:
    with pytest.raises(UnknownTool):
        find(Catalog(), "anything")


def test_a_tool_without_a_call_name_is_not_found_by_the_empty_name() -> None:
    with pytest.raises(UnknownTool):
        find(a_catalog(a_tool("one")), "")
