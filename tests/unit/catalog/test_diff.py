from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.catalog.samples import a_catalog, a_tool
from tool_router.catalog.diff import CatalogChange, diff
from tool_router.catalog.model import Availability, Catalog, Hints, Tool

ONE, TWO, THREE = a_tool("one"), a_tool("two"), a_tool("three")


def test_equal_catalogs_have_no_change() -> None:
    assert not diff(a_catalog(ONE, TWO), a_catalog(a_tool("one"), a_tool("two"), fetched_at=9.0))


def test_another_order_is_no_change() -> None:
    assert not diff(a_catalog(ONE, TWO), a_catalog(TWO, ONE))


def test_what_came_and_went_is_named_in_catalog_order() -> None:
    assert diff(a_catalog(ONE), a_catalog(THREE, TWO)) == CatalogChange(
        added=(THREE.id, TWO.id), removed=(ONE.id,)
    )


def test_everything_is_added_to_an_empty_catalog() -> None:
    assert diff(Catalog(), a_catalog(ONE, TWO)).added == (ONE.id, TWO.id)


@pytest.mark.parametrize(
    "changed",
    [
        replace(ONE, description="something else"),
        replace(ONE, input_schema={"type": "object"}),
        replace(ONE, hints=Hints(destructive=True)),
        replace(ONE, call_name="files-one"),
        replace(ONE, availability=Availability.UNREACHABLE),
    ],
)
def test_a_tool_that_says_or_is_something_else_has_changed(changed: Tool) -> None:
    assert diff(a_catalog(ONE, TWO), a_catalog(changed, TWO)) == CatalogChange(changed=(ONE.id,))
