"""Which kind of work a task is."""

from __future__ import annotations

import pytest

from tests.unit.scoring.catalogs import tool
from tool_router.catalog.model import Catalog
from tool_router.learning.category import CueCategories


@pytest.mark.parametrize(
    ("task", "category"),
    [
        ("implement a function that parses dates in python", "coding"),
        ("refactor this module and extract the parser", "refactoring"),
        ("run pytest with coverage for the suite", "testing"),
        ("write a changelog and update the documentation", "documentation"),
        ("find the bug behind this traceback", "debugging"),
        ("review the diff of the pull request", "code review"),
        ("move the folder to another directory", "file"),
        ("scrape the web page in a browser", "web"),
        ("query the sql table for rows", "data"),
        ("send an email to the meeting's guests", "communication"),
        ("make me happy", ""),
        ("", ""),
    ],
)
def test_a_task_belongs_to_the_category_with_most_cues(task: str, category: str) -> None:
    assert CueCategories().category(task) == category


def test_a_server_with_several_tools_is_a_category_of_its_own() -> None:
    catalog = Catalog(tuple(tool(f"tool_{n}", server="Home Assistant") for n in range(3)))
    detector = CueCategories(catalog)
    assert detector.category("ask Home Assistant to dim the lights") == "Home Assistant"
    assert detector.category("drive me home") == ""
