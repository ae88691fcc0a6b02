"""The labelling methods by name: which prefixes to continue, how often, and when to stop."""

from collections.abc import Callable, Sequence
from itertools import takewhile

from distill.config import LabellingSettings
from distill.errors import DataError
from distill.labelling.adaptive import adaptive
from distill.labelling.omegaprm import omegaprm
from distill.labelling.protocol import Case, Policy, Prefix, RolloutRequest
from distill.labelling.trials import certainly_bad_from
from distill.records import Chain, Outcome


def math_shepherd(settings: LabellingSettings, case: Case) -> Policy:
    """A fixed number K of rollouts at every step, all in one round (arXiv 2312.08935, section 3.3).

    As published when `count_outcome` is off: every step of every chain, whatever is known already.
    Otherwise the chain's own answer counts: a right one is a success of every prefix, so nothing is
    asked; after a wrong one only the steps that are not certainly bad are. A step whose rollouts are
    all undecided is not asked for again and stays undetermined.
    """
    rule = f"math_shepherd n={settings.rollouts}"
    asked: dict[Prefix, int] = {}
    requests = []
    for chain, refuted in zip(case.chains, case.refuted, strict=True):
        for step in range(_worth_asking(settings, chain, refuted)):
            first = asked.get(chain.steps[: step + 1], 0)
            requests.append(RolloutRequest(chain, step, settings.rollouts, rule, first))
            asked[chain.steps[: step + 1]] = first + settings.rollouts
    if requests:
        yield requests


def record(settings: LabellingSettings, case: Case) -> Policy:
    """K rollouts after every distinct prefix of the problem's chains and of the bare problem: the evidence
    of such a run is a rollout bank, on which every other method can be replayed."""
    rule = f"record n={settings.rollouts}"
    found: dict[Prefix, RolloutRequest] = {}
    for chain in case.chains:
        for step in range(-1, len(chain.steps)):
            request = RolloutRequest(chain, step, settings.rollouts, rule)
            found.setdefault(request.prefix, request)
    if found:
        yield list(found.values())


METHODS: dict[str, Callable[[LabellingSettings, Case], Policy]] = {
    "adaptive": adaptive,
    "math_shepherd": math_shepherd,
    "omegaprm": omegaprm,
    "record": record,
}


def make_policy(
    settings: LabellingSettings,
    chains: Sequence[Chain],
    checks: Sequence[Sequence[Outcome]],
    proves: bool = False,
) -> Policy:
    """The policy that `settings.method` names, for the chains of one problem.

    `checks[i]` holds the exact check of each step of chain i; empty means that none was made. `proves`: what
    they find correct is right for certain. With `settings.step_checks` off they are ignored.

    Raises:
        DataError: checks that are neither empty nor one a step.
    """
    return METHODS[settings.method](settings, make_case(settings, chains, checks, proves))


def make_case(
    settings: LabellingSettings,
    chains: Sequence[Chain],
    checks: Sequence[Sequence[Outcome]],
    proves: bool = False,
) -> Case:
    """What `make_policy` gives to a method."""
    for chain, verdicts in zip(chains, checks, strict=True):
        if verdicts and len(verdicts) != len(chain.steps):
            raise DataError(
                f"chain {chain.id}: expected one check a step ({len(chain.steps)}) or none, "
                f"found {len(verdicts)}; check the same steps that are labelled"
            )
    used = checks if settings.step_checks else [[] for _ in chains]
    refuted = (tuple(i for i, v in enumerate(verdicts) if v == Outcome.INCORRECT) for verdicts in used)
    proved = (len(list(takewhile(lambda v: v == Outcome.CORRECT, verdicts))) for verdicts in used)
    return Case(tuple(chains), tuple(refuted), tuple(proved) if proves else ())


def _worth_asking(settings: LabellingSettings, chain: Chain, refuted: Sequence[int]) -> int:
    """Steps from the first on that fixed K asks for."""
    if not settings.count_outcome:
        return len(chain.steps)
    return 0 if chain.outcome == Outcome.CORRECT else certainly_bad_from(chain, refuted)
