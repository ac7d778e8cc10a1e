"""The benchmarks measure what they say; what they find is theirs to print, for timing here is noise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmarks import overhead, startup
from tool_router.catalog.describe import describe
from tool_router.catalog.model import Catalog
from tool_router.evaluation.sample_catalog import read_catalog, sample_catalog


def test_a_catalog_of_any_size_is_the_same_every_time_and_has_unique_ids() -> None:
    tools = sample_catalog(2375)
    assert tools == sample_catalog(2375)
    assert len({tool.id for tool in tools}) == 2375


def test_a_data_set_can_stand_in_for_the_made_up_catalog(tmp_path: Path) -> None:
    file = tmp_path / "tools.jsonl"
    file.write_text('{"id": "time::now", "name": "now", "server": "time", "description": "Tells it."}\n')
    (tool,) = read_catalog(file)
    assert (tool.id, tool.server, tool.description, tool.input_schema) == (
        "time::now",
        "time",
        "Tells it.",
        {},
    )


def test_a_start_describes_the_stored_catalog_though_no_gateway_answers(tmp_path: Path) -> None:
    tools = sample_catalog(50)
    contest = startup.prepare(tools, tmp_path)
    assert startup.initialize_ms(contest.router, contest.environ) > 0
    assert startup.initialize_ms(contest.bare, contest.environ) > 0
    assert startup.listed_description(contest.router, contest.environ) == describe(Catalog(tools))


def test_a_server_that_does_not_answer_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="did not answer initialize"):
        startup.initialize_ms([sys.executable, "-c", "pass"], {})


@pytest.mark.anyio
async def test_the_overhead_is_that_of_calls_the_tool_answered() -> None:
    facts = await overhead.measure(3, 20)
    assert set(facts["p50_ms"]) == {"direct", "by_task", "by_name"}
    assert facts["steps_p50_ms"]["call"] > 0
    assert all(value > 0 for value in facts["p50_ms"].values())


@pytest.mark.parametrize("script", ["bench_startup", "bench_overhead"])
def test_each_script_explains_itself(script: str) -> None:
    root = Path(__file__).parents[3]
    command = [root / "scripts" / script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert script in done.stdout
