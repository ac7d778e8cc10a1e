"""resource-limits.yml: what services may use and when they make room, read strictly into `ResourceRules`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from service_manager.config.limits_entry import RISING, LimitsFile
from service_manager.config.yamldocument import Document, Problem, config_error, text_of
from service_manager.config.yamlfile import read
from service_manager.config.yamlmodel import validate
from service_manager.policy.rules import Level, ResourceRules


def load_limits(path: Path, environ: Mapping[str, str]) -> ResourceRules:
    """Read a resource-limits.yml; what it leaves out has the shipped file's values.

    Raises:
        ConfigError: the file can't be read, or something in it is wrong; every place is named.
    """
    return parse_limits(text_of(path), path, environ)


def parse_limits(text: str, path: Path, environ: Mapping[str, str]) -> ResourceRules:
    """As `load_limits`, for the text of a file.

    Raises:
        ConfigError: something in it is wrong; every place is named.
    """
    document = read(text, str(path), environ)
    file, misfits = validate(document, LimitsFile)
    # A variable that is missing is told once, and not again as a value that does not fit.
    told = {problem.path for problem in document.problems}
    problems = [*document.problems, *(problem for problem in misfits if problem.path not in told)]
    if file is None or problems:
        raise config_error(str(path), problems)
    rules = file.rules()
    if contradictions := list(_unordered(document, rules)):
        raise config_error(str(path), contradictions)
    return rules


def _unordered(document: Document, rules: ResourceRules) -> Iterator[Problem]:
    """Thresholds that are lower at a higher level, and idle factors that are larger."""
    for lower, higher in pairwise(RISING):
        below, above = rules.pressure.levels[lower], rules.pressure.levels[higher]
        for metric, threshold in below.at.items():
            if above.at.get(metric, 1.0) < threshold:
                what = (
                    f"{metric} is {threshold:.0%} for {lower.word}, {above.at[metric]:.0%} for {higher.word}"
                )
                yield _contradiction(document, lower, higher, metric.value, what, "lower")
        if above.idle_factor > below.idle_factor:
            what = (
                f"idle_factor is {below.idle_factor:g} for {lower.word} and {above.idle_factor:g} "
                f"for {higher.word}"
            )
            yield _contradiction(document, lower, higher, "idle_factor", what, "larger")


def _contradiction(
    document: Document, lower: Level, higher: Level, key: str, what: str, wrong: str
) -> Problem:
    # The file may hold only one of the two; the other is a default.
    places = [("pressure", level.word, key) for level in (higher, lower)]
    path = next((place for place in places if place in document.marks), places[0])
    return Problem(
        document.line(path), what, f"A higher level can't have a {wrong} one; change one of them.", path
    )
