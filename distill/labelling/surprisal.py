"""Where the first error of a chain is: its rollouts, its checks and its teacher's surprisal weighed together.

What rollouts cannot see (a wrong step that does no harm to the answer), a teacher often half knows: the step
was improbable to it as it wrote it. How much that tells differs from teacher to teacher, so it is learnt from
the run itself, without any label. The first error z of a chain of n steps (n: none) is a hidden variable:

    P(step t is the first wrong one | the steps before are right) = sigmoid(bias + weight x surprisal of t)
    P(answer right | z < n) = harmless         P(answer right | no error) = 1
    P(trials of a prefix | right), P(... | wrong): the success rates of the sequential test of that prefix
    an exact refutation of step s says z <= s, a proof of it z > s

`fit_error_model` finds bias, weight and harmless by expectation-maximisation (Dempster, Laird and Rubin,
"Maximum Likelihood from Incomplete Data via the EM Algorithm", 1977); `first_error_posterior` is P(z) of a
chain under them. Where surprisal tells nothing the weight goes to 0, and rollouts are left alone.

Shapes: C = chains, N = steps of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from distill.config import LabellingSettings
from distill.labelling.known import Known, chain_test, solved, trials
from distill.records import Outcome

Array = NDArray[np.float64]

ROUNDS = 50
CHAINS = 20_000
"""Chains that the model is fitted to; of more, evenly spread ones."""
HARMLESS = (1.0, 9.0)
"""Beta prior of P(answer right | an error): one such error in ten, held as firmly as ten chains would."""
LEAST_RATE = 0.01
"""Least success rate of a wrong prefix: a recipe may say 0, and one lucky rollout is no proof."""
SETTLED = 1e-4
NEVER = -1e6
"""Log-likelihood of what an exact check rules out: finite, so that of two that contradict each other (a wrong
answer at the end of proved steps) neither makes the other's place impossible."""


@dataclass(frozen=True, slots=True)
class ChainEvidence:
    """What is known of one chain of n steps: the teacher's surprisal at each step [n] in nats, the
    log-likelihood of trials, refutations and proofs if the first error is at each place [n + 1], and whether
    its final answer is right (None: undecided, or not to be counted)."""

    surprisal: Array
    log_likelihood: Array
    answer_right: bool | None


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """What a run's chains have in common. `weight` and `bias` are for surprisals less `mean`, over
    `scale`."""

    weight: float
    bias: float
    harmless: float
    mean: float
    scale: float


def chain_evidence(settings: LabellingSettings, found: Known, c: int) -> ChainEvidence | None:
    """The evidence about chain `c`; None where surprisal is not to be weighed, not known, or no number."""
    chain = found.case.chains[c]
    n = len(chain.steps)
    if not settings.surprisal or settings.method != "adaptive":
        return None
    if not n or len(chain.step_logprobs) != n or not np.isfinite(chain.step_logprobs).all():
        return None
    at = np.zeros(n + 1)
    for step in range(n - 1) if solved(settings, found) else ():
        seen, test = trials(settings, found, c, step), chain_test(settings, found, c, step)
        for rate, where in ((test.high, slice(step + 1, None)), (max(test.low, LEAST_RATE), slice(step + 1))):
            at[where] += seen.successes * np.log(rate) + seen.failures * np.log1p(-rate)
    for step in found.case.refuted[c]:
        at[step + 1 :] += NEVER
    at[: found.case.proved[c] if found.case.proved else 0] += NEVER
    right = {Outcome.CORRECT: True, Outcome.INCORRECT: False}.get(chain.outcome)
    told = right if settings.count_outcome or right is False else None
    return ChainEvidence(-np.array(chain.step_logprobs), at, told)


def fit_error_model(chains: Sequence[ChainEvidence]) -> ErrorModel:
    """The model under which `chains` are likeliest, by expectation-maximisation. Weight and bias have a
    normal prior of unit variance, so that few chains say little."""
    shown = _Padded(chains[:: -(-len(chains) // CHAINS)])
    known = shown.surprisal_CN[shown.real_CN]
    model = ErrorModel(0.0, -2.0, 0.1, float(known.mean()), float(known.std()) or 1.0)
    for _ in range(ROUNDS):
        before = model
        model = _maximised(shown, shown.posterior(model), model)
        moved = max(abs(getattr(model, k) - getattr(before, k)) for k in ("weight", "bias", "harmless"))
        if moved < SETTLED:
            break
    return model


def first_error_posterior(model: ErrorModel, chain: ChainEvidence) -> Array:
    """P(the first error is at step 0 ... n - 1, or nowhere) [n + 1]."""
    return _Padded([chain]).posterior(model)[0]


def posterior_bounds(posterior: Array, confidence: float) -> tuple[int, int]:
    """Last step (-1: none) that is right, and first (n: none) that is wrong or after a wrong one, each with
    at least this probability."""
    wrong_by = posterior[:-1].cumsum()  # P(an error at this step or before)
    good = int((wrong_by <= 1 - confidence).sum())
    return good - 1, max(good, int((wrong_by < confidence).sum()))  # at 0.5 a step may be both: it is right


class _Padded:
    """Chains side by side."""

    def __init__(self, chains: Sequence[ChainEvidence]) -> None:
        lengths = np.array([len(chain.surprisal) for chain in chains])
        rows, longest = len(chains), int(lengths.max())
        self.real_CN = np.arange(longest) < lengths[:, None]
        self.surprisal_CN, at_CN = np.zeros((rows, longest)), np.full((rows, longest), -np.inf)
        none_C, self.right_C = np.zeros(rows), np.zeros(rows, bool)
        self.wrong_C = np.zeros(rows, bool)
        for i, chain in enumerate(chains):
            n = lengths[i]
            self.surprisal_CN[i, :n], at_CN[i, :n] = chain.surprisal, chain.log_likelihood[:-1]
            none_C[i] = chain.log_likelihood[-1]
            self.right_C[i], self.wrong_C[i] = chain.answer_right is True, chain.answer_right is False
        none_C[self.wrong_C] += NEVER
        self.evidence_CN, self.none_C = at_CN, none_C

    def posterior(self, model: ErrorModel) -> Array:
        """P(first error) [C, N + 1], the last column for none."""
        logits_CN = model.bias + model.weight * (self.surprisal_CN - model.mean) / model.scale
        right_CN = np.where(self.real_CN, log_expit(-logits_CN), 0.0)
        passed_CN = right_CN.cumsum(1)
        at_CN = log_expit(logits_CN) + passed_CN - right_CN + self.evidence_CN
        at_CN[self.right_C] += np.log(model.harmless)
        at_CN[self.wrong_C] += np.log1p(-model.harmless)
        joint = np.concatenate([at_CN, (passed_CN[:, -1] + self.none_C)[:, None]], axis=1)
        weights = np.exp(joint - joint.max(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True)


def _maximised(shown: _Padded, posterior: Array, old: ErrorModel) -> ErrorModel:
    """The model that is likeliest when first errors are where `posterior` [C, N + 1] says."""
    at_CN, none_C = posterior[:, :-1], posterior[:, -1]
    after_CN = 1.0 - at_CN.cumsum(1)  # the error is further on, or nowhere: this step is right
    x = ((shown.surprisal_CN - old.mean) / old.scale)[shown.real_CN]
    wrong, right = at_CN[shown.real_CN], after_CN[shown.real_CN].clip(0.0)

    def loss(theta: Array) -> tuple[float, Array]:
        """Cross-entropy and the prior, with their gradient."""
        logits = theta[0] + theta[1] * x
        slope = (wrong + right) * expit(logits) - wrong
        value = -(wrong * log_expit(logits) + right * log_expit(-logits)).sum() + theta @ theta / 2
        return float(value), np.array([slope.sum(), slope @ x]) + theta

    start = np.array([old.bias, old.weight])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (0.0, None)]).x
    hidden = float((1 - none_C[shown.right_C]).sum())
    harmless = (hidden + HARMLESS[0]) / (hidden + float(shown.wrong_C.sum()) + sum(HARMLESS))
    return replace(old, weight=float(found[1]), bias=float(found[0]), harmless=harmless)
