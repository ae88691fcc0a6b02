"""Intervals for a success rate: Jeffreys' posterior for labels, Wilson's interval for figures.

Source: Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science
16(2), 2001, section 3.1, who recommend these two for small n.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scipy.special import betaincinv

PRIOR = 0.5  # Jeffreys: Beta(1/2, 1/2)
Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Posterior:
    """Mean and equal-tailed 95% credible interval of a success rate."""

    mean: float
    low: float
    high: float


@lru_cache(maxsize=4096)
def jeffreys(successes: int, failures: int) -> Posterior:
    """Posterior of a rate after `successes` and `failures` under the prior Beta(1/2, 1/2).

    The lower bound is 0 without a success and the upper bound 1 without a failure (the source's
    definition, which keeps the coverage up at the ends), so no trials give (0.5, 0, 1).

    Raises:
        ValueError: a negative count.
    """
    if successes < 0 or failures < 0:
        raise ValueError(f"expected counts of at least 0, found {successes} successes, {failures} failures")
    a, b = successes + PRIOR, failures + PRIOR
    low = float(betaincinv(a, b, 0.025)) if successes else 0.0
    high = float(betaincinv(a, b, 0.975)) if failures else 1.0
    return Posterior(a / (a + b), low, high)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval of hits/n; (0, 1) when n is 0.

    Raises:
        ValueError: hits outside 0..n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"expected 0 <= hits <= n, found hits={hits}, n={n}")
    if n == 0:
        return 0.0, 1.0
    rate, z2 = hits / n, Z_95**2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    # At the ends the bound is exactly 0 or 1; rounding would leave 1e-17 of it.
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == n else min(1.0, middle + half)
    return low, high


def share(hits: int, n: int) -> dict[str, Any]:
    """hits/n as the report shows it: `value` (None when n is 0), `low`, `high`, `hits`, `n`."""
    low, high = wilson(hits, n)
    return {"value": hits / n if n else None, "low": low, "high": high, "hits": hits, "n": n}
