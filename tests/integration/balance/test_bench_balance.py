"""`tool-router bench balance` and the scripts beside it: what they print and keep, and how they end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.benchmarks import concurrency
from tool_router.balance.strategies import STRATEGIES
from tool_router.cli import app
from tool_router.evaluation import balancing

FEW = ["bench", "balance", "--decisions", "200"]


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promises that the slowest machine keeps: the figures are for a quiet one."""
    monkeypatch.setattr(balancing, "LEAST_PER_SECOND", 1.0)
    monkeypatch.setattr(balancing, "MOST_DECISION_US", 1e9)
    monkeypatch.setattr(balancing, "MOST_RECORDING_US", 1e9)


@pytest.mark.usefixtures("easy")
def test_every_strategy_is_a_row_with_its_verdict() -> None:
    done = CliRunner().invoke(app, FEW)
    assert done.exit_code == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert all(rows[name].endswith("reached") for name in [*STRATEGIES, "recording"])
    assert "20 targets" in done.stdout


def test_what_is_slower_than_promised_is_missed_and_ends_the_command_with_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(balancing, "LEAST_PER_SECOND", 1e12)
    done = CliRunner().invoke(app, [*FEW, "--json"])
    assert done.exit_code == 1
    figures = json.loads(done.stdout)
    assert figures["reached"] is False
    assert [row["strategy"] for row in figures["decisions"]] == list(STRATEGIES)
    assert not any(row["reached"] for row in figures["decisions"])


@pytest.mark.usefixtures("easy")
def test_kept_figures_are_compared_with(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert CliRunner().invoke(app, [*FEW, "--save", str(file)]).exit_code == 0
    kept = json.loads(file.read_text())
    done = CliRunner().invoke(app, [*FEW, "--compare", str(file)])
    assert done.exit_code == 0
    assert "decisions/s before" in done.stdout
    for row in kept["decisions"]:
        assert f"{row['per_second']:,.0f} (" in done.stdout


@pytest.mark.parametrize("content", [None, "no JSON", "[]", '{"times": []}'])
def test_a_file_without_figures_is_wrong_use(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "figures.json"
    if content is not None:
        file.write_text(content)
    done = CliRunner().invoke(app, [*FEW, "--compare", str(file)])
    assert done.exit_code == 2
    assert "holds no figures" in done.stderr


@pytest.mark.anyio
async def test_calls_at_once_are_counted_as_right_wrong_or_lost() -> None:
    facts = await concurrency.measure(20, 5, 20)
    rounds = [*facts["rounds_by_name"], facts["by_task"]]
    assert [one["calls"] for one in rounds] == [20, 20, 20, 5]
    assert all((one["right"], one["wrong"], one["lost"]) == (one["calls"], 0, 0) for one in rounds)
    assert facts["held_mb"][0] > 10
    assert "20 right, 0 wrong, 0 lost" in concurrency.report(facts)


@pytest.mark.parametrize("script", ["bench_failover", "bench_concurrency"])
def test_each_script_explains_itself(script: str) -> None:
    command = [Path(__file__).parents[3] / "scripts" / script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert script in done.stdout
