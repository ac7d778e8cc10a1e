"""Whether probabilities mean what they say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

BINS = 10


def calibration_error(said: Sequence[tuple[float, bool]]) -> float:
    """The expected calibration error (Guo et al. 2017).

    How far the mean probability of each bin is from its share of true ones, weighted by the bin's size.

    Args:
        said: a probability in [0, 1] and whether it came true, for each case; 0.0 for none.
    """
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for probability, true in said:
        bins[min(BINS - 1, int(probability * BINS))].append((probability, true))
    error = 0.0
    for members in filter(None, bins):
        mean = sum(probability for probability, _ in members) / len(members)
        share = sum(true for _, true in members) / len(members)
        error += len(members) / len(said) * abs(mean - share)
    return error
