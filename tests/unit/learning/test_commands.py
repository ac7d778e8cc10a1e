"""`tool-router feedback` and `tool-router status`."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner, Result

from tests.unit.catalog.samples import a_tool
from tool_router.cache.store import Store
from tool_router.catalog.model import Catalog
from tool_router.cli import app
from tool_router.learning.outcome import Outcome, Verdict

SOURCE = "contextforge:http://127.0.0.1:9"


def run(home: Path, *words: str) -> Result:
    config = home / "router.yml"
    config.write_text(
        f"gateway:\n  url: http://127.0.0.1:9\nstore:\n  path: {home}/router.sqlite\n"
        "relevance:\n  enabled: false\n",
        encoding="utf-8",
    )
    return CliRunner().invoke(app, [*words, "--config", str(config)], env={"HOME": str(home)})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    async def main() -> None:
        async with Store.open(tmp_path / "router.sqlite") as store:
            await store.save_catalog(Catalog((a_tool("one"), a_tool("two")), 1.0, SOURCE), "words")
            for number, id_ in enumerate(("aaaa", "bbbb")):
                outcome = Outcome(id_, number, SOURCE, f"task {id_}", "", "one", Verdict.SUCCEEDED)
                await store.add_outcomes([outcome])

    anyio.run(main)
    return tmp_path


def verdicts(home: Path) -> dict[str, str]:
    async def main() -> dict[str, str]:
        async with Store.open(home / "router.sqlite") as store:
            return {o.id: o.verdict.value for o in await store.outcomes(SOURCE, 10)}

    return anyio.run(main)


def test_feedback_judges_the_latest_call(home: Path) -> None:
    result = run(home, "feedback", "bad")
    assert result.exit_code == 0
    assert "bbbb" in result.stdout
    assert verdicts(home) == {"aaaa": "succeeded", "bbbb": "bad"}


def test_feedback_judges_the_call_that_is_named(home: Path) -> None:
    shown = json.loads(run(home, "feedback", "good", "aaaa", "--json").stdout)
    assert (shown["id"], shown["tool"], shown["verdict"]) == ("aaaa", "one", "good")
    assert verdicts(home) == {"aaaa": "good", "bbbb": "succeeded"}


def test_feedback_for_an_unknown_call_says_where_ids_stand(home: Path) -> None:
    result = run(home, "feedback", "good", "cccc")
    assert result.exit_code == 2
    assert "cccc" in result.stderr
    assert "_meta" in result.stderr


def test_status_tells_catalog_vectors_and_outcomes(home: Path) -> None:
    shown = json.loads(run(home, "status", "--json").stdout)
    assert shown["tools"] == 2
    assert shown["outcomes"] == {"succeeded": 2}
    assert shown["model"] is None
    assert "turned off" in shown["model_reason"]
    assert "2 succeeded" in run(home, "status").stdout
