"""The replayed stream and the calibration error."""

from __future__ import annotations

import pytest

from tests.unit.scoring.catalogs import tool
from tool_router.evaluation.calibration import calibration_error
from tool_router.evaluation.dataset import DataSet, EvalTask
from tool_router.evaluation.learning import replay


def task(number: int, text: str, gold: str) -> EvalTask:
    return EvalTask(str(number), text, "", frozenset({gold}), None, False, None, "exact", None)


def test_feedback_teaches_what_the_descriptions_do_not_say() -> None:
    tools = (tool("alpha", "Nothing to go by"), tool("beta", "Nothing to go by"))
    tasks = tuple(
        task(n, "water the garden" if n % 2 else "feed the cat", "alpha" if n % 2 else "beta")
        for n in range(40)
    )
    report = replay(DataSet("garden", tools, tasks))
    assert report.n == 40
    assert report.learning[-1] == 1.0
    assert report.without[-1] < 1.0


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([], 0.0),
        ([(1.0, True), (0.0, False)], 0.0),
        ([(0.95, False)] * 10, 0.95),
        ([(0.5, True), (0.5, False)], 0.0),
    ],
)
def test_the_calibration_error_is_the_distance_of_saying_from_being(
    said: list[tuple[float, bool]], error: float
) -> None:
    assert calibration_error(said) == pytest.approx(error)
