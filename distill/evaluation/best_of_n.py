"""Best-of-n: which of n chains is handed to the user, by score, by vote, or by an oracle.

Every figure is the expectation over all ways to draw n of a problem's chains, not one draw. Where a
closed form exists (best-of-n, oracle) it is used; votes are taken over every subset, or over a seeded
sample of `SUBSETS` of them when there are more: unbiased either way. Ties are worth their expectation
under a random choice. A problem with fewer than n chains uses all that it has. Chains whose outcome is
undecided take no part: undecided is never counted as wrong.

Shapes: P = problems, N = most chains of a problem (padded), C = chains, L = most steps of a chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from distill.evaluation.bootstrap import Floats, Ints
from distill.evaluation.metrics import Bools
from distill.evaluation.votes import one_spelling
from distill.records import Outcome, ScoredChain

AGGREGATIONS = ("min", "product", "last", "mean")
SUBSETS = 512


@dataclass(frozen=True, slots=True)
class Pools:
    """The decided chains of every problem: `chain_PN` indexes them, -1 where a problem has fewer.

    `answer_PN` numbers a problem's distinct answers (`distill.evaluation.votes`); -1 for no answer, which
    is no vote.
    """

    chain_PN: Ints
    correct_PN: Floats
    answer_PN: Ints

    @property
    def real_PN(self) -> Bools:
        """True where there is a chain."""
        return self.chain_PN >= 0

    @property
    def size_P(self) -> Ints:
        """Decided chains of each problem."""
        return self.real_PN.sum(axis=1)

    def spread(self, values_C: Floats, padding: float) -> Floats:
        """One value a chain, laid out by problem. [P, N]"""
        return np.where(self.real_PN, values_C[self.chain_PN], padding)


def pool(scored: Sequence[ScoredChain], problem_C: Ints, n_problems: int) -> Pools:
    """Group decided chains by problem, in the order given."""
    members: list[list[int]] = [[] for _ in range(n_problems)]
    for index, chain in enumerate(scored):
        if chain.outcome is not Outcome.UNDECIDED:
            members[problem_C[index]].append(index)
    shape = (n_problems, max(1, *map(len, members)) if members else 1)
    chain_PN, answer_PN = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
    correct_PN = np.zeros(shape)
    spellings = one_spelling([[scored[index] for index in indices] for indices in members])
    for row, indices in enumerate(members):
        answers: dict[str, int] = {}
        for column, index in enumerate(indices):
            key = spellings[row].get(scored[index].answer.strip())
            chain_PN[row, column] = index
            correct_PN[row, column] = scored[index].outcome is Outcome.CORRECT
            answer_PN[row, column] = answers.setdefault(key, len(answers)) if key else -1
    return Pools(chain_PN, correct_PN, answer_PN)


def aggregate(scores_CL: Floats, how: str, log: bool) -> Floats:
    """Step scores (nan: none) to one ranking score a chain; -inf for a chain without any. [C]

    `log`: the scores are log-probabilities. A product is returned as its logarithm, so that long chains
    do not underflow to a tie; `chain_weights` undoes that.
    """
    real = ~np.isnan(scores_CL)
    if how == "min":
        values = np.where(real, scores_CL, np.inf).min(axis=1)
    elif how == "last":
        last = scores_CL.shape[1] - 1 - real[:, ::-1].argmax(axis=1)
        values = scores_CL[np.arange(len(scores_CL)), last]
    elif how == "mean":
        values = np.where(real, scores_CL, 0).sum(axis=1) / np.maximum(real.sum(axis=1), 1)
    elif how == "product":
        with np.errstate(divide="ignore"):
            logs = scores_CL if log else np.log(np.where(real, scores_CL, 1.0))
        values = np.where(real, logs, 0).sum(axis=1)
    else:
        raise ValueError(f"aggregation: expected one of {', '.join(AGGREGATIONS)}; found '{how}'")
    return np.where(real.any(axis=1), values, -np.inf)


def chain_weights(ranks_C: Floats, how: str, log: bool) -> Floats:
    """Ranking scores as probabilities, the weights of a weighted vote. [C]"""
    return np.exp(ranks_C) if log or how == "product" else np.maximum(ranks_C, 0.0)


def pass_at_1(pools: Pools) -> Floats:
    """Share of a problem's chains that are correct; nan without chains. [P]"""
    return _mean_P(pools, np.where(pools.real_PN, 1.0, 0.0) / np.maximum(pools.size_P, 1)[:, None])


def oracle(pools: Pools, n: int) -> Floats:
    """Chance that n chains hold a correct one: the unbiased pass@k (arXiv 2107.03374, eq. 1). [P]"""
    size = pools.size_P
    wrong = size - pools.correct_PN.sum(axis=1).astype(np.int64)
    return np.where(size > 0, 1 - _subset_share(wrong, size, n), np.nan)


def best_of(pools: Pools, rank_PN: Floats, n: int) -> Floats:
    """Expected correctness of the highest-ranked of n chains drawn without replacement. [P]

    A chain with g chains above it and t at its level (itself included) is chosen with probability
    (C(N-g, n) - C(N-g-t, n)) / (t C(N, n)).
    """
    real = pools.real_PN
    above = ((rank_PN[:, None, :] > rank_PN[:, :, None]) & real[:, None, :]).sum(axis=2)
    level = ((rank_PN[:, None, :] == rank_PN[:, :, None]) & real[:, None, :]).sum(axis=2)
    size = pools.size_P[:, None]
    chosen = _subset_share(size - above, size, n) - _subset_share(size - above - level, size, n)
    return _mean_P(pools, np.where(real, chosen / np.maximum(level, 1), 0.0))


def majority(pools: Pools, weight_PN: Floats | None, n: int, seed: int) -> Floats:
    """Expected correctness of the answer with most votes (or most weight) among n chains; nan where no chain
    of any problem has an answer to vote for. [P]

    Self-consistency (arXiv 2203.11171); with weights, verifier-weighted voting (arXiv 2206.02336).
    """
    values = np.full(len(pools.chain_PN), np.nan)
    votes = (pools.answer_PN >= 0).any()
    for row, size in enumerate(pools.size_P):
        if size and votes:
            weights = np.ones(size) if weight_PN is None else weight_PN[row, :size]
            values[row] = _vote(
                pools.answer_PN[row, :size],
                pools.correct_PN[row, :size],
                weights,
                subsets(int(size), n, seed),
            )
    return values


def subsets(size: int, n: int, seed: int) -> Floats:
    """Membership of every n-subset of `size` chains, or of `SUBSETS` random ones if there are more."""
    n = min(n, size)
    if comb(size, n) <= SUBSETS:
        rows = list(combinations(range(size), n))
    else:
        rng = np.random.default_rng([seed, size, n])
        rows = [tuple(rng.permutation(size)[:n]) for _ in range(SUBSETS)]
    members = np.zeros((len(rows), size))
    members[np.arange(len(rows))[:, None], np.array(rows)] = 1.0
    return members


def _vote(answer_N: Ints, correct_N: Floats, weight_N: Floats, members_MN: Floats) -> float:
    """Mean correctness of the winning answer over subsets; a subset without a vote is not correct."""
    is_answer_AN = np.arange(answer_N.max() + 1)[:, None] == answer_N
    if not len(is_answer_AN):
        return 0.0
    right_A = (is_answer_AN @ correct_N) / is_answer_AN.sum(axis=1)
    votes_MA = members_MN @ (is_answer_AN * weight_N).T
    top_M1 = votes_MA.max(axis=1, keepdims=True)
    winners = (votes_MA >= top_M1 * (1 - 1e-12)) & (members_MN @ is_answer_AN.T > 0)
    return float(((winners @ right_A) / np.maximum(winners.sum(axis=1), 1)).mean())


def _mean_P(pools: Pools, chosen_PN: Floats) -> Floats:
    return np.where(pools.size_P > 0, (chosen_PN * pools.correct_PN).sum(axis=1), np.nan)


def _subset_share(inside: Ints, size: Ints, n: int) -> Floats:
    """C(inside, n') / C(size, n') with n' = min(n, size): chance that a subset avoids the rest."""
    drawn = np.minimum(n, size)
    share = np.ones(np.broadcast_shapes(inside.shape, size.shape))
    for taken in range(n):
        step = np.maximum(inside - taken, 0) / np.maximum(size - taken, 1)
        share = np.where(taken < drawn, share * step, share)
    return share
