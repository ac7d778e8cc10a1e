#!/usr/bin/env python3
"""Fit the confidence model on labelled tasks and write tool_router/scoring/confidence.json.

usage: scripts/fit_confidence.py DIR [DIR ...] [--write]

Each DIR is a data set (tools.jsonl, tasks.jsonl). Tasks on the whole catalog are joined by the same
tasks on small catalogs of ten random servers, with and without the right server, because most people have few
servers and often none that fits. Prints a reliability table of five-fold cross-validation and the expected
calibration error; --write replaces the coefficients.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tool_router.evaluation.dataset import DataSet, load
from tool_router.scoring import confidence
from tool_router.scoring.keyword import KeywordIndex
from tool_router.scoring.rank import features_of, order_of

Rows = list[tuple[tuple[float, ...], bool]]
FOLDS = 5
RIDGE = 1e-3
SERVERS = 10


def main() -> None:
    """Read the sets, cross-validate, print, and write when asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows: Rows = []
    for directory in given.directories:
        data = load(directory)
        found = whole_catalog(data) + small_catalogs(data)
        print(f"{data.name}: {len(found)} rankings, {sum(right for _, right in found)} right")
        rows += found
    random.Random(0).shuffle(rows)
    x = np.array([features for features, _ in rows])
    y = np.array([right for _, right in rows], float)
    folds = np.arange(len(y)) % FOLDS
    predicted = np.zeros(len(y))
    for fold in range(FOLDS):
        predicted[folds == fold] = sigmoid(x[folds == fold] @ fit(x[folds != fold], y[folds != fold]))
    report(predicted, y)
    weights = fit(x, y)
    print(dict(zip(confidence.FEATURES, np.round(weights, 4).tolist(), strict=True)))
    if given.write:
        path = Path(confidence.__file__).with_name("confidence.json")
        document = {
            "features": confidence.FEATURES,
            "coefficients": {"keyword": np.round(weights, 6).tolist()},
        }
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def whole_catalog(data: DataSet) -> Rows:
    """Every task on the set's own catalog (or candidates)."""
    index = KeywordIndex.build(data.tools)
    rows: Rows = []
    for task in data.tasks:
        keyword = index.scores(task.task, task.context)
        order = order_of(keyword, task.candidates, 10)
        right = data.tools[int(order[0])].id in task.gold
        rows.append((features_of(index, task.task, keyword, keyword, order), right))
    return rows


def small_catalogs(data: DataSet) -> Rows:
    """Tasks on catalogs of a few servers, every second one without the right server."""
    chance = random.Random(1)
    servers = sorted({tool.server for tool in data.tools})
    if len(servers) < 3 * SERVERS:
        return []
    rows: Rows = []
    for number, task in enumerate(data.tasks):
        golden = {tool.server for tool in data.tools if tool.id in task.gold}
        chosen = set(chance.sample(servers, SERVERS)) - golden
        if golden and number % 2:
            chosen.add(chance.choice(sorted(golden)))
        tools = [tool for tool in data.tools if tool.server in chosen]
        index = KeywordIndex.build(tools)
        keyword = index.scores(task.task, task.context)
        order = order_of(keyword, None, 10)
        right = tools[int(order[0])].id in task.gold
        rows.append((features_of(index, task.task, keyword, keyword, order), right))
    return rows


def fit(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression by Newton's method, with a small ridge."""
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = sigmoid(x @ weights)
        gradient = x.T @ (y - p) / len(y) - RIDGE * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x / len(y) + RIDGE * np.eye(x.shape[1])
        weights = weights + np.linalg.solve(curvature, gradient)
    return weights


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function, without overflow."""
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))


def report(predicted: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Print the reliability table and the expected calibration error."""
    error = 0.0
    print("confidence    n     said   right")
    for low in np.arange(0, 1, 0.1):
        inside = (predicted >= low) & (predicted < low + 0.1)
        if inside.any():
            said, right = predicted[inside].mean(), y[inside].mean()
            error += inside.mean() * abs(said - right)
            print(f"{low:.1f} - {low + 0.1:.1f} {inside.sum():6d}   {said:.3f}   {right:.3f}")
    print(f"expected calibration error {error:.4f}")


if __name__ == "__main__":
    main()
