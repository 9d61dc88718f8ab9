"""The Bayesian signed-rank test: how probable it is that a difference matters.

Benavoli, Corani, Demsar, Zaffalon: Time for a change: a tutorial for comparing multiple classifiers
through Bayesian analysis. JMLR 18 (2017), Section 4.2.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ROPE = 0.01  # differences of up to a point of accuracy are of no practical importance
STRENGTH = 0.5  # of the prior, in observations of no difference
DRAWS = 10_000
SEED = 0
UNIT = 100_000  # scores hold five digits: whole numbers of it add up without rounding


def signed_rank(
    differences: Sequence[float], *, rope: float = ROPE, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float, float]:
    """Probability that the first is better, that they are equivalent, that the second is better.

    A Dirichlet process, whose prior is one observation of no difference of strength 1/2, is drawn
    from; of each draw, the mean of two differences falls above, into or below the region of
    practical equivalence with some probability, and the largest of the three wins the draw.

    Args:
        differences: first - second, on each dataset.
        rope: differences in [-rope, rope] are equivalent.
        draws: of the Monte Carlo sample.
        seed: of it.
    """
    z = np.round(np.array([*differences, 0.0]) * UNIT).astype(int)
    sums = z[:, None] + z[None, :]
    edge = round(2 * rope * UNIT)
    weights = _weights(len(z) - 1, draws, seed)
    above, below = (
        np.einsum("di,di->d", weights @ region.astype(float), weights)
        for region in (sums > edge, sums < -edge)
    )
    shares = np.stack([above, 1 - above - below, below])
    first, equivalent, second = np.bincount(shares.argmax(axis=0), minlength=3) / draws
    return float(first), float(equivalent), float(second)


@lru_cache(maxsize=4)  # most pairs of a table have equally many datasets
def _weights(observations: int, draws: int, seed: int) -> NDArray[np.float64]:
    strengths = np.append(np.ones(observations), STRENGTH)
    return np.random.default_rng(seed).dirichlet(strengths, size=draws)
