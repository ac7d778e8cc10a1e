"""A day of work: which tasks come when, so that a cache can be measured. Pure and seeded."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

EXPONENT = 1.0
"""Zipf's law in its plain form: the second most frequent task comes half as often as the first."""
DAY_S = 8 * 3600.0
BURST = 6
"""Requests that come shortly after one another, on average: people and their assistants work in spells."""
WITHIN_BURST_S = 20.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request.

    Attributes:
        at_s: seconds since the day began; never falls.
        task: what is asked for.
    """

    at_s: float
    task: str


def day_of_work(
    tasks: Sequence[str], requests: int, *, seed: int, exponent: float = EXPONENT, length_s: float = DAY_S
) -> Iterator[Arrival]:
    """Requests of a day, drawn from the tasks with Zipf frequencies, in bursts.

    Args:
        tasks: what is ever asked for; which of them are frequent is drawn as well.
        requests: how many there are.
        seed: the same seed gives the same day.
        exponent: of Zipf's law; 0 makes every task as frequent as the others.
        length_s: about how long the day is, in seconds.

    Raises:
        ValueError: there are no tasks.
    """
    if not tasks:
        raise ValueError("a day of work needs tasks")
    # Reproducible on purpose; nothing here is a secret.
    chance = random.Random(seed)  # noqa: S311
    ranked = chance.sample(tasks, len(tasks))
    weights = list(accumulate((place + 1) ** -exponent for place in range(len(ranked))))
    pause_s = max(0.0, length_s * BURST / max(1, requests) - (BURST - 1) * WITHIN_BURST_S)
    at_s = 0.0
    for task in chance.choices(ranked, cum_weights=weights, k=requests):
        yield Arrival(at_s, task)
        new_burst = chance.random() < 1 / BURST
        at_s += chance.expovariate(1 / WITHIN_BURST_S) if not new_burst else chance.expovariate(1) * pause_s
