"""The worker that owns an engine: it writes chains and gathers evidence, one shard at a time.

It lives in a Ray actor but knows nothing of Ray. A shard is read from the run folder, worked on with
the requests of all its problems in flight at once (so that the engine's batches are full), written
atomically, and only its statistics are returned.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import checkers
from distill.artifacts import RunFolder, read_records
from distill.cluster import Reporter
from distill.config import GeneratorSettings, Recipe
from distill.domains import answer_check, judged_async, proves, step_check
from distill.labelling.evidence import check_events, outcome_event, rollout_events
from distill.labelling.policies import make_policy
from distill.labelling.protocol import Policy, RolloutRequest, RolloutResult, by_problem
from distill.records import Chain, Event, Outcome, Problem, Usage, content_id, derived_seed
from distill.stages.given_chains import GivenChain, given_steps, read_given, spelt_steps
from distill.stages.pulse import CountingEngine, Progress, shown_progress
from distill.stages.step_checks import texts_to_check, verdicts_of_steps
from distill.steps import segment, step_logprobs
from generators.base import Completion, Sample
from generators.batching import Crew
from generators.load import load_generator
from generators.sources import normalised
from generators.truth import states_answer

PROBLEMS_AT_ONCE = 512
"""Problems of a shard that are searched side by side: twice the lanes of the widest batch, as each mostly
waits for one rollout. The next begins when one ends, so that the engine's work is evenly mixed."""

CHECKED_AT_ONCE = 16
"""Problems whose steps are handed to the checker pool together."""
Result = TypeVar("Result")
Verdicts: TypeAlias = asyncio.Future[list[list[checkers.Verdict]]]
"""Of every step of every chain of one problem, once they are there."""


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Which shard to work on, where its input lies, and under which fingerprint to write it.

    `only` is the place of one problem in the shard (0-based) when the shard is tried problem by problem:
    its records are then returned, not written; -1 is the whole shard.
    """

    stage: str
    index: int
    inputs: tuple[str, ...]
    fingerprint: str
    per_problem: int = 0
    budget: int = 0
    """Rollout tokens that this shard may take (0: no limit)."""
    only: int = -1

    @property
    def key(self) -> str:
        """Names the task in progress and faults."""
        return f"{self.stage}-{self.index}" + (f" problem {self.only}" if self.only >= 0 else "")


@dataclass(slots=True)
class Spent:
    """Rollout tokens of a shard, against its `budget` (0: no limit)."""

    budget: int
    tokens: int = 0

    @property
    def all(self) -> bool:
        """Whether nothing more may be asked."""
        return 0 < self.budget <= self.tokens


class ShardWorker:
    """Owns one engine and one checker pool for as long as it lives."""

    def __init__(self, recipe: Recipe, settings: GeneratorSettings, run_folder: str) -> None:
        self._recipe, self._settings = recipe, settings
        self._folder = RunFolder.writer(run_folder)
        self._pool = checkers.Pool(workers=1, deadline_seconds=recipe.labelling.checker_deadline_seconds)

    @cached_property
    def _engine(self) -> CountingEngine:
        """Loaded at first use, not in the constructor: Ray keeps only the text of what that raises, and a
        wrong model name shall end in its own message."""
        return CountingEngine(load_generator(self._settings))

    async def prepare(self, key: str, report: Reporter, folder: str) -> int:
        """Load the engine; how many shards it takes at a time. Relative paths are relative to `folder`, the
        driver's, where this machine has it."""
        with suppress(OSError):
            os.chdir(folder)
        report(key, 0, 1)
        return self._engine.shards_in_flight

    async def write_chains(self, task: ShardTask, report: Reporter) -> dict[str, Any]:
        """Sample `task.per_problem` chains for each problem of the shard, check and write them."""
        problems = _problems(task)
        async with shown_progress(report, task.key, len(problems), self._engine) as progress:
            completions = await _together(
                self._sample_chains(problem, task.per_problem, progress) for problem in problems
            )
        drafts = [
            self._draft_chain(problem, completion, i)
            for problem, completion in zip(problems, completions, strict=True)
            for i in range(len(completion.samples))
        ]
        return await self._commit_chains(task, problems, drafts, sum((c.usage for c in completions), Usage()))

    async def read_chains(self, task: ShardTask, report: Reporter) -> dict[str, Any]:
        """Take the shard's chains from the user's file (`chains.path`), check and write them."""
        problems = _problems(task)
        progress = Progress(report, task.key, len(problems))
        drafts: list[Chain] = []
        for problem in problems:
            rows = self._given[normalised(problem.question)]
            drafts += [self._given_chain(problem, self._steps(row), i) for i, row in enumerate(rows)]
            progress.add(1, 0)
        return await self._commit_chains(task, problems, drafts, Usage())

    @cached_property
    def _given(self) -> dict[str, list[GivenChain]]:
        return read_given(self._recipe.chains.path or "")

    def _steps(self, row: GivenChain) -> tuple[str, ...]:
        return given_steps(row, self._recipe.chains, self._engine)

    async def gather_evidence(self, task: ShardTask, report: Reporter) -> dict[str, Any]:
        """Run the labelling policy of every problem of the shard; write the events."""
        problems = {p.id: p for p in _problems(task)}
        read = [c for c in read_records(task.inputs[1], Chain) if c.problem_id in problems]
        chains = [self._in_own_tokens(c) for c in read if c.steps]
        events: list[Event] = [outcome_event(chain) for chain in chains]
        async with shown_progress(report, task.key, len(chains), self._engine) as progress:
            found, usage = await self._run_policies(problems, chains, task.budget, progress)
        events = _chain_by_chain(events + found)
        stats = _evidence_stats(len(chains), events, usage)
        unspelt = sum(not chain.step_ends for chain in chains)
        return self._finish(task, events, stats | ({"unspelt": unspelt} if unspelt else {}))

    async def _sample_chains(self, problem: Problem, n: int, progress: Progress) -> Completion:
        prompt = self._engine.prompt(problem.question)
        completion = await self._engine.sample(prompt, n, derived_seed(self._recipe.seed, problem.id))
        progress.add(1, completion.usage.generated_tokens)
        return completion

    def _draft_chain(self, problem: Problem, completion: Completion, i: int) -> Chain:
        sample, settings = completion.samples[i], self._recipe.chains
        blank = not sample.text.strip()
        steps, ends = ((), ()) if blank else segment(sample.token_ids, self._engine.decode, settings)
        return Chain(
            id=content_id("chain", problem.id, i, list(sample.token_ids), self._engine.name),
            problem_id=problem.id,
            steps=steps,
            outcome=Outcome.UNDECIDED,
            token_ids=tuple(sample.token_ids),
            step_ends=ends,
            finish_reason=sample.finish_reason,
            seed=derived_seed(self._recipe.seed, problem.id),
            generator=self._engine.name,
            generated_tokens=sample.generated_tokens,
            step_logprobs=step_logprobs(sample.logprobs, ends),
        )

    def _given_chain(self, problem: Problem, steps: tuple[str, ...], i: int) -> Chain:
        token_ids, ends = spelt_steps(self._engine, steps)
        return Chain(
            id=content_id("given chain", problem.id, i, list(steps)),
            problem_id=problem.id,
            steps=steps,
            outcome=Outcome.UNDECIDED,
            token_ids=token_ids,
            step_ends=ends,
            generator=f"file:{Path(self._recipe.chains.path or '').name}",
        )

    def _in_own_tokens(self, chain: Chain) -> Chain:
        """The chain as this engine would spell it: a completer need not share the teacher's tokenizer. One
        that it cannot spell has no `step_ends`."""
        if chain.generator == self._engine.name:
            return chain
        token_ids, ends = spelt_steps(self._engine, chain.steps)
        return replace(chain, token_ids=token_ids, step_ends=ends)

    async def _commit_chains(
        self, task: ShardTask, problems: Sequence[Problem], drafts: Sequence[Chain], usage: Usage
    ) -> dict[str, Any]:
        """Judge the final answers and write the shard; its statistics."""
        by_id = {problem.id: problem for problem in problems}
        texts = ["".join(chain.steps) for chain in drafts]
        verdicts = await self._judge([by_id[chain.problem_id] for chain in drafts], texts)
        chains = [_with_outcome(chain, verdict) for chain, verdict in zip(drafts, verdicts, strict=True)]
        return self._finish(task, chains, _chain_stats(len(problems), chains, usage))

    def _finish(self, task: ShardTask, records: Sequence[Any], stats: dict[str, Any]) -> dict[str, Any]:
        """Write a whole shard; hand the records of a single problem to whoever puts them together."""
        if task.only >= 0:
            return stats | {"records": records}
        self._folder.commit_shard(task.stage, task.index, records, stats, task.fingerprint)
        return stats

    async def _judge(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[checkers.Verdict]:
        """What is to be held of the final answer of each text."""
        asked = [answer_check(problem, text) for problem, text in zip(problems, texts, strict=True)]
        verdicts = await judged_async(self._pool, asked)
        return [
            _stated(verdict, states_answer(problem, text))
            for verdict, problem, text in zip(verdicts, problems, texts, strict=True)
        ]

    async def _check_steps(
        self, problems: dict[str, Problem], chains: Sequence[Chain]
    ) -> list[list[checkers.Verdict]]:
        if not self._recipe.labelling.step_checks:
            return [[] for _ in chains]
        settings = self._recipe.chains
        asked = [
            step_check(problem.domain, problem.question, texts_to_check(c.steps, settings))
            for c in chains
            for problem in (problems[c.problem_id],)
        ]
        found = await judged_async(self._pool, asked)
        return [verdicts_of_steps(v, c.steps, settings) for v, c in zip(found, chains, strict=True)]

    async def _run_policies(
        self, problems: dict[str, Problem], chains: Sequence[Chain], budget: int, progress: Progress
    ) -> tuple[list[Event], Usage]:
        """All searches side by side, each at its own pace, after its own step checks. No policy begins a
        round once `budget` tokens are spent; what was not asked stays undetermined."""
        cases = [[chains[i] for i in places] for places in by_problem(chains)]
        checks: list[Verdicts] = [asyncio.get_running_loop().create_future() for _ in cases]
        crew, spent, waiting = Crew(), Spent(budget), iter(range(len(cases)))
        found: dict[int, tuple[list[Event], Usage]] = {}

        async def label() -> None:
            """Search one problem after another until none waits."""
            for number in waiting:
                own = cases[number]
                problem = problems[own[0].problem_id]
                with crew.member(number):
                    found[number] = await self._search(problem, own, checks[number], spent, progress)
                progress.add(len(own), 0)

        tasks = [asyncio.create_task(label()) for _ in range(min(PROBLEMS_AT_ONCE, len(cases)))]
        tasks.append(asyncio.create_task(self._check_ahead(problems, cases, checks)))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            crew.disband()
        done = [found[number] for number in range(len(cases))]
        return [event for events, _ in done for event in events], sum((u for _, u in done), Usage())

    async def _check_ahead(
        self, problems: dict[str, Problem], cases: Sequence[Sequence[Chain]], checks: Sequence[Verdicts]
    ) -> None:
        """Check the steps of all chains in the order of the searches, a few problems at a time: the first
        searches begin soon, and the answers of rollouts do not queue behind the steps of a whole shard."""
        for start in range(0, len(cases), CHECKED_AT_ONCE):
            part = cases[start : start + CHECKED_AT_ONCE]
            verdicts = iter(await self._check_steps(problems, [chain for case in part for chain in case]))
            for case, waited in zip(part, checks[start:]):
                waited.set_result([next(verdicts) for _ in case])

    async def _search(
        self, problem: Problem, chains: Sequence[Chain], checks: Verdicts, spent: Spent, progress: Progress
    ) -> tuple[list[Event], Usage]:
        """The events of one problem's checks and rollouts; there are none of the latter for chains that the
        engine cannot spell."""
        verdicts, proved = await checks, proves(problem.domain)
        spelt = [i for i, chain in enumerate(chains) if chain.step_ends]
        statuses = [[Outcome(v.status.value) for v in verdicts[i]] for i in spelt]
        rollouts, usage = list[Event](), Usage()
        if spelt:
            policy = make_policy(self._recipe.labelling, [chains[i] for i in spelt], statuses, proved)
            rollouts, usage = await self._follow(policy, problem, spent, progress)
        checked = [e for c, own in zip(chains, verdicts, strict=True) for e in check_events(c, own, proved)]
        return checked + rollouts, usage

    async def _follow(
        self, policy: Policy, problem: Problem, spent: Spent, progress: Progress
    ) -> tuple[list[Event], Usage]:
        """Ask what one policy asks until it asks no more, or the shard's tokens are spent."""
        events: list[Event] = []
        usage = Usage()
        requests = next(policy, [])
        while requests and not spent.all:
            answers = await _together(self._rollout(problem, r, spent) for r in requests)
            progress.add(0, sum(u.generated_tokens for _, _, u in answers))
            events += [event for _, found, _ in answers for event in found]
            usage = sum((u for _, _, u in answers), usage)
            requests = _advance(policy, [result for result, _, _ in answers])
        return events, usage

    async def _rollout(
        self, problem: Problem, request: RolloutRequest, spent: Spent
    ) -> tuple[RolloutResult, list[Event], Usage]:
        """Continue a prefix `request.n` times, and judge each final answer."""
        chain = request.chain
        end = chain.step_ends[request.step] if request.step >= 0 else 0
        prefix = (*self._engine.prompt(problem.question, rollout=True), *chain.token_ids[:end])
        seed = derived_seed(self._recipe.seed, problem.id, list(request.prefix), request.first)
        completion = await self._engine.sample(prefix, request.n, seed)
        spent.tokens += completion.usage.generated_tokens  # before any check, whose time is not ours to tell
        begun = chain.token_ids[:end]  # decoded whole: a token may hold the end of one step and more
        texts = [self._engine.decode((*begun, *sample.token_ids)) for sample in completion.samples]
        verdicts = await self._judge([problem] * len(texts), texts)
        whole = request.step == len(chain.steps) - 1
        outcomes = tuple(
            _rollout_outcome(sample, verdict, whole)
            for sample, verdict in zip(completion.samples, verdicts, strict=True)
        )
        counts = tuple(sample.generated_tokens for sample in completion.samples)
        result = RolloutResult(outcomes, counts)
        return result, rollout_events(request, result, seed, self._engine.name), completion.usage


async def _together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results in order. The first failure withdraws the rest: their shard is tried again, and nobody
    would read what they are paid for."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _problems(task: ShardTask) -> list[Problem]:
    """The problems of a task: all of its shard, or the one that is tried alone."""
    problems = read_records(task.inputs[0], Problem)
    return problems if task.only < 0 else [problems[task.only]]


def _chain_by_chain(events: Sequence[Event]) -> list[Event]:
    """Events in the order of their chains, those of a chain as they came: the same for a shard at once and
    for its problems one by one."""
    place: dict[str, int] = {}
    for event in events:
        place.setdefault(event.chain_id, len(place))
    return sorted(events, key=lambda event: place[event.chain_id])


def _advance(policy: Policy, results: list[RolloutResult]) -> list[RolloutRequest]:
    try:
        return policy.send(results)
    except StopIteration:
        return []


def _stated(verdict: checkers.Verdict, marked: bool) -> checkers.Verdict:
    """The verdict, undecided where the text states no answer (`marked`: in the way its world demands): a
    chain that breaks off may be right as far as it goes, so none of its steps is to blame."""
    if marked and _answer(verdict) != "":
        return verdict
    return checkers.Verdict(checkers.Status.UNDECIDED, "no answer in the text")


def _answer(verdict: checkers.Verdict) -> str | None:
    """What a vote among chains compares, "" where the text states none; None where nothing is known of it."""
    if isinstance(verdict, checkers.CodeVerdict):  # `compared` is of one test; a program may print nothing
        return verdict.answer or None
    return verdict.compared[0] if verdict.compared else None


def _rollout_outcome(sample: Sample, verdict: checkers.Verdict, whole: bool) -> Outcome:
    """A rollout that hit the cap never gave its answer, so it is undecided whatever its text holds; so is
    a blank one, unless it follows a whole chain: the last number before it is a step's, not an answer."""
    if sample.finish_reason != "stop" or not (whole or sample.text.strip()):
        return Outcome.UNDECIDED
    return Outcome(verdict.status.value)


def _with_outcome(chain: Chain, verdict: checkers.Verdict) -> Chain:
    if chain.finish_reason != "stop":
        return replace(chain, outcome_reason=f"finish: {chain.finish_reason}")
    outcome = Outcome(verdict.status.value)
    return replace(chain, outcome=outcome, outcome_reason=verdict.reason, answer=_answer(verdict) or "")


def _chain_stats(problems: int, chains: Sequence[Chain], usage: Usage) -> dict[str, Any]:
    return {
        "in": problems,
        "out": len(chains),
        "outcomes": dict(Counter(str(chain.outcome) for chain in chains)),
        "empty": sum(not chain.steps for chain in chains),
        "cut_off": sum(chain.finish_reason == "length" for chain in chains),
        **_usage_stats(usage),
    }


def _evidence_stats(chains: int, events: Sequence[Event], usage: Usage) -> dict[str, Any]:
    kinds = Counter(f"{event.kind}:{event.outcome}" for event in events)
    return {"in": chains, "out": len(events), "outcomes": dict(kinds), **_usage_stats(usage)}


def _usage_stats(usage: Usage) -> dict[str, Any]:
    return {
        "generated_tokens": usage.generated_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
    }
