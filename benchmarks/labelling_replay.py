"""Run a labelling method over recorded or simulated problems, and measure its labels against exact truth."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from distill.config import LabellingSettings
from distill.labelling.adaptive import next_request
from distill.labelling.known import Known, bounds, known
from distill.labelling.policies import make_case, make_policy
from distill.labelling.posterior import share
from distill.labelling.protocol import RolloutRequest, RolloutResult
from distill.labelling.surprisal import (
    ChainEvidence,
    ErrorModel,
    chain_evidence,
    first_error_posterior,
    fit_error_model,
    posterior_bounds,
)
from distill.records import Chain, Outcome, Problem


class Source(Protocol):
    """One problem that answers requests for rollouts."""

    @property
    def problem(self) -> Problem: ...
    @property
    def chains(self) -> tuple[Chain, ...]: ...
    @property
    def truth(self) -> tuple[int | None, ...]: ...
    @property
    def checks(self) -> tuple[tuple[Outcome, ...], ...]: ...
    def answer(self, request: RolloutRequest) -> RolloutResult: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a method found of one chain: the first error it names (None: undetermined) and the truth, the
    last step it holds good and the first it holds bad, steps, the chain's share of the rollout tokens, its
    own tokens, and whether its answer is right (an error that does no harm is invisible to rollouts)."""

    named: int | None
    truth: int
    last_good: int
    first_bad: int
    steps: int
    tokens: float
    chain_tokens: int
    answered_right: bool


@dataclass(frozen=True, slots=True)
class Searched:
    """One problem after a method asked what it wanted: of each chain, what is known (with or without what was
    asked for the others) and its share of the tokens; and all that was asked for."""

    source: Source
    known: tuple[Known, ...]
    tokens: tuple[float, ...]
    asked: tuple[RolloutRequest, ...] = ()


def search(settings: LabellingSettings, source: Source) -> Searched:
    """Let a method ask what it wants of one problem."""
    policy = make_policy(settings, source.chains, source.checks)
    evidence = known(make_case(settings, source.chains, source.checks))
    asked: list[RolloutRequest] = []
    tokens, chains = 0, len(source.chains)
    requests = next(policy, [])
    while requests:
        asked += requests
        results = [source.answer(request) for request in requests]
        tokens += sum(sum(result.tokens) for result in results)
        evidence.add(requests, results)
        try:
            requests = policy.send(results)
        except StopIteration:
            break
    return Searched(source, (evidence,) * chains, (tokens / max(1, chains),) * chains, tuple(asked))


def _search_unshared(settings: LabellingSettings, source: Source) -> Searched:
    case = make_case(settings, source.chains, source.checks)
    evidence, spent = [known(case) for _ in source.chains], [0.0] * len(source.chains)
    for c, own in enumerate(evidence):
        while (request := next_request(settings, own, c)) is not None:
            result = source.answer(request)
            spent[c] += sum(result.tokens)
            own.add([request], [result])
    return Searched(source, tuple(evidence), tuple(spent))


def _labelled(settings: LabellingSettings, searched: Sequence[Searched]) -> Iterator[tuple[Found, ...]]:
    """What a method finds of the chains whose truth is known, as `distill.stages.labels` would."""
    weighed = [
        [chain_evidence(settings, own, c) for c, own in enumerate(problem.known)] for problem in searched
    ]
    shown = [evidence for problem in weighed for evidence in problem if evidence]
    model = fit_error_model(shown) if shown else None
    for problem, evidence in zip(searched, weighed, strict=True):
        yield tuple(
            _found(problem, c, truth, _bounds(settings, problem.known[c], c, evidence[c], model))
            for c, truth in enumerate(problem.source.truth)
            if truth is not None
        )


def _bounds(
    settings: LabellingSettings, own: Known, c: int, weighed: ChainEvidence | None, model: ErrorModel | None
) -> tuple[int, int]:
    if weighed is None or model is None:
        return bounds(settings, own, c)
    return posterior_bounds(first_error_posterior(model, weighed), settings.confidence)


def _found(searched: Searched, c: int, truth: int, known_bounds: tuple[int, int]) -> Found:
    chain = searched.source.chains[c]
    n, (last_good, first_bad) = len(chain.steps), known_bounds
    right = chain.outcome == Outcome.CORRECT
    named = None if first_bad != last_good + 1 else first_bad if first_bad < n else -1
    tokens = searched.tokens[c]
    return Found(named, truth, last_good, first_bad, n, tokens, chain.generated_tokens, right)


@dataclass(frozen=True)
class Replayed:
    """One method over some problems: what it found of the chains of each, and the figures of it."""

    found: tuple[tuple[Found, ...], ...]
    figures: dict[str, Any]

    @property
    def tokens(self) -> float:
        """Rollout tokens a chain."""
        return float(self.figures["tokens_per_chain"])


def run(settings: LabellingSettings, sources: Iterable[Source]) -> Replayed:
    """Replay one method over some problems."""
    return _replayed(settings, [search(settings, source) for source in sources])


def run_unshared(settings: LabellingSettings, sources: Iterable[Source]) -> Replayed:
    """`adaptive` with a search of its own for each chain. The other chains' answers count as ever; their
    rollouts are not shared, so a prefix of two chains is rolled out for each (a bank gives both the same
    rollouts, each of which is evidence for one chain once)."""
    return _replayed(settings, [_search_unshared(settings, source) for source in sources])


def _replayed(settings: LabellingSettings, searched: Sequence[Searched]) -> Replayed:
    found = tuple(_labelled(settings, searched))
    every = [item for chains in found for item in chains]
    return Replayed(found, figures(every) | {"rollouts": settings.rollouts})


def figures(found: Sequence[Found]) -> dict[str, Any]:
    """All figures of one method over some chains; fractions as `posterior.share`."""
    named = [item for item in found if item.named is not None]
    right = sum(item.named == item.truth for item in named)
    wrong = [item for item in named if item.truth >= 0]
    tokens = sum(item.tokens for item in found)
    return {
        "chains": len(found),
        "accuracy": share(right, len(named)),
        "accuracy_wrong": share(sum(item.named == item.truth for item in wrong), len(wrong)),
        "accuracy_wrong_answer": share(
            sum(item.named == item.truth for item in wrong if not item.answered_right),
            sum(not item.answered_right for item in wrong),
        ),
        "coverage": share(len(named), len(found)),
        "coverage_wrong": share(len(wrong), sum(item.truth >= 0 for item in found)),
        "of_all": share(right, len(found)),
        **_steps(found),
        "tokens_per_chain": tokens / max(1, len(found)),
        "tokens_per_right_label": tokens / max(1, right),
        "chain_tokens": sum(item.chain_tokens for item in found) / max(1, len(found)),
    }


def _steps(found: Sequence[Found]) -> dict[str, Any]:
    """Precision and recall of "bad" over the determined steps."""
    called = bad = hits = 0
    for item in found:
        true_bad = item.steps - item.truth if item.truth >= 0 else 0
        start = item.steps - true_bad
        called += item.steps - item.first_bad
        bad += max(0, item.last_good + 1 - start) + item.steps - max(start, item.first_bad)
        hits += item.steps - max(start, item.first_bad)
    return {"step_precision": share(hits, called), "step_recall": share(hits, bad)}
