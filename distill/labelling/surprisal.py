"""Where the first error of a chain is: its rollouts, its checks and its teacher's surprisal weighed together.

What rollouts cannot see (a wrong step that does no harm to the answer), a teacher often half knows: the step
was improbable to it as it wrote it. How much that tells differs from teacher to teacher, so it is learnt from
the run itself, without any label. The first error z of a chain of n steps (n: none) is a hidden variable:

    P(step t is the first wrong one | the steps before are right) = sigmoid(bias + weight x surprisal of t)
    P(answer right | z < n) = harmless         P(answer right | no error) = 1
    P(a rollout of a right prefix succeeds): what the sequential test expects of it; of a wrong one: repaired
    an exact refutation of step s says z <= s, a proof of it z > s

An error behind a right answer did no harm, so rollouts succeed before and after it: of such chains they say
nothing. `fit_error_model` finds bias, weight, harmless and repaired by expectation-maximisation (Dempster,
Laird and Rubin, "Maximum Likelihood from Incomplete Data via the EM Algorithm", 1977);
`first_error_posterior` is P(z) of a chain under them. Where surprisal tells nothing the weight goes to 0,
and rollouts are left alone.

Shapes: C = chains, N = steps of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
REPAIRED = (1.0, 19.0)
"""Beta prior of P(a rollout succeeds | its prefix is wrong): one in twenty, held as firmly as twenty."""
SETTLED = 1e-4
FITTED = ("weight", "bias", "harmless", "repaired")
NEVER = -1e6
"""Log-likelihood of what an exact check rules out: finite, so that of two that contradict each other (a wrong
answer at the end of proved steps) neither makes the other's place impossible."""


@dataclass(frozen=True, slots=True)
class ChainEvidence:
    """What is known of one chain of n steps: the teacher's surprisal at each step in nats, how many rollouts
    of the prefix up to it succeeded and failed, and what share would if it is right, each [n]; the
    log-likelihood of refutations and proofs if the first error is at each place [n + 1]; and whether
    its final answer is right (None: undecided, or not to be counted)."""

    surprisal: Array
    successes: Array
    failures: Array
    rate: Array
    checks: Array
    answer_right: bool | None

    @classmethod
    def without_trials(cls, surprisal: Sequence[float], answer_right: bool | None) -> "ChainEvidence":
        """Of a chain that nothing was tried on."""
        n = len(surprisal)
        return cls(
            np.array(surprisal, float),
            np.zeros(n),
            np.zeros(n),
            np.full(n, 0.5),
            np.zeros(n + 1),
            answer_right,
        )


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """What a run's chains have in common. `weight` and `bias` are for surprisals less `mean`, over
    `scale`."""

    weight: float
    bias: float
    harmless: float
    repaired: float
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
    right = {Outcome.CORRECT: True, Outcome.INCORRECT: False}.get(chain.outcome)
    told = right if settings.count_outcome or right is False else None
    made = ChainEvidence.without_trials([-x for x in chain.step_logprobs], told)
    for step in range(n - 1) if solved(settings, found) and told is not True else ():
        seen = trials(settings, found, c, step)
        made.successes[step], made.failures[step] = seen.successes, seen.failures
        made.rate[step] = chain_test(settings, found, c, step).high
    for step in found.case.refuted[c]:
        made.checks[step + 1 :] += NEVER
    made.checks[: found.case.proved[c] if found.case.proved else 0] += NEVER
    return made


def fit_error_model(chains: Sequence[ChainEvidence]) -> ErrorModel:
    """The model under which `chains` are likeliest, by expectation-maximisation. Weight and bias have a
    normal prior of unit variance, so that few chains say little."""
    shown = _Padded(chains[:: -(-len(chains) // CHAINS)])
    known = shown.surprisal_CN[shown.real_CN]
    model = ErrorModel(0.0, -2.0, 0.1, 0.05, float(known.mean()), float(known.std()) or 1.0)
    for _ in range(ROUNDS):
        before = model
        model = _maximised(shown, shown.posterior(model), model)
        moved = max(abs(getattr(model, k) - getattr(before, k)) for k in FITTED)
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
        self.surprisal_CN, self.successes_CN, self.failures_CN = np.zeros((3, rows, longest))
        self.rate_CN = np.full((rows, longest), 0.5)
        at_CN, none_C = np.full((rows, longest), -np.inf), np.zeros(rows)
        for i, chain in enumerate(chains):
            n = lengths[i]
            self.surprisal_CN[i, :n], self.rate_CN[i, :n] = chain.surprisal, chain.rate
            self.successes_CN[i, :n], self.failures_CN[i, :n] = chain.successes, chain.failures
            at_CN[i, :n], none_C[i] = chain.checks[:-1], chain.checks[-1]
        self.right_C = np.array([chain.answer_right is True for chain in chains])
        self.wrong_C = np.array([chain.answer_right is False for chain in chains])
        none_C[self.wrong_C] += NEVER
        self.checks_CN, self.none_C = at_CN, none_C

    def posterior(self, model: ErrorModel) -> Array:
        """P(first error) [C, N + 1], the last column for none."""
        logits_CN = model.bias + model.weight * (self.surprisal_CN - model.mean) / model.scale
        right_CN = np.where(self.real_CN, log_expit(-logits_CN), 0.0)
        passed_CN = right_CN.cumsum(1)
        at_CN = log_expit(logits_CN) + passed_CN - right_CN + self.checks_CN + self._trials(model)
        at_CN[self.right_C] += np.log(model.harmless)
        at_CN[self.wrong_C] += np.log1p(-model.harmless)
        joint = np.concatenate([at_CN, (passed_CN[:, -1] + self.none_C)[:, None]], axis=1)
        weights = np.exp(joint - joint.max(1, keepdims=True))
        return weights / weights.sum(1, keepdims=True)

    def _trials(self, model: ErrorModel) -> Array:
        """Log-likelihood of all trials if the first error is at each step, less that if nowhere [C, N]."""
        wrong_CN = np.minimum(model.repaired, self.rate_CN / 2)
        odds_CN = self.successes_CN * np.log(wrong_CN / self.rate_CN)
        odds_CN += self.failures_CN * (np.log1p(-wrong_CN) - np.log1p(-self.rate_CN))
        return odds_CN[:, ::-1].cumsum(1)[:, ::-1]


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
    gone_CN = at_CN.cumsum(1) * shown.wrong_C[:, None]  # an error up to here, and the answer is wrong
    succeeded, failed = (float((gone_CN * x).sum()) for x in (shown.successes_CN, shown.failures_CN))
    repaired = (succeeded + REPAIRED[0]) / (succeeded + failed + sum(REPAIRED))
    return ErrorModel(float(found[1]), float(found[0]), harmless, repaired, old.mean, old.scale)
