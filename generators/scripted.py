"""A teacher that answers from a seeded script: fast, exact and as badly behaved as a test asks.

Token ids are the bytes of UTF-8, so encoding is faithful for any text and a token may end within a
character. `settings.model` names the script and its options:

    scripted:solver                      adds the numbers of the question, step by step
    scripted:solver?slip=0.3             with probability 0.3 a step is off, and the rest follows from it
    scripted:world?slip=0.1&seed=0       solves the exact world's problems of a recipe with that seed
    scripted:solver?fail_at=3,7          calls 3 and 7 (from 1) raise GeneratorError
    scripted:empty?delay=0.01            every call first waits 0.01 s
    scripted:solver?exit=17              a prefix that holds "17" ends the process; `hang=`, `raise=` and
                                         `memory=` (8 GiB at once) are as bad in other ways
    scripted:empty|whitespace|long|invalid-utf8|error|hang
"""

import asyncio
import os
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from distill.config import GeneratorSettings, ProblemSettings
from distill.errors import GeneratorError, UnfitSettingError
from distill.records import Usage, derived_seed
from generators.base import Completion, Sample
from generators.sources import load_problems
from generators.world import judge, solve

Script = Callable[[str, random.Random], str | bytes]
"""From the text of a prefix and a seeded source of randomness to one continuation."""

LONG_ANSWER_TOKENS = 10_000
WORLD_PROBLEMS = 64
_NUMBER = re.compile(r"\d+")
_STEP = re.compile(r"^-?\d+ \+ \d+ = (-?\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Options:
    """What may follow the script's name: `?slip=0.3&fail_at=3,7&delay=0.01&seed=0`."""

    slip: float = 0.0
    seed: int = 0
    fail_at: frozenset[int] = frozenset()
    delay: float = 0.0
    exit: str = ""
    hang: str = ""
    raises: str = ""
    memory: str = ""


def solver(slip: float = 0.0) -> Script:
    """Sums the numbers of the question (the prefix's first line), one addition a step, then answers.

    A prefix that already holds steps is continued from its last result, right or wrong, so exact
    Monte-Carlo labels are known: a prefix is good if and only if its last result is the true sum so far.
    """

    def continue_sum(prefix: str, rng: random.Random) -> str:
        question, _, written = prefix.partition("\n")
        if "Answer:" in written:
            return ""
        numbers = [int(number) for number in _NUMBER.findall(question)] or [0]
        results = [int(result) for result in _STEP.findall(written)]
        total = results[-1] if results else numbers[0]
        lines = []
        for number in numbers[len(results) + 1 :]:
            result = total + number + (rng.choice((-10, -1, 1, 10)) if rng.random() < slip else 0)
            lines.append(f"{total} + {number} = {result}\n")
            total = result
        return "".join([*lines, f"Answer: {total}\n"])

    return continue_sum


def world(slip: float = 0.0, seed: int = 0) -> Script:
    """Solves the first WORLD_PROBLEMS problems of either part of a recipe of this `seed`, each step wrong
    with probability `slip`. A prefix that holds steps is judged, and continued to the right answer if it
    is right (but for another slip), to a wrong one if not: exact Monte-Carlo labels are known.

    Raises:
        GeneratorError: a question of another seed, or beyond that number.
    """
    settings = ProblemSettings(count=WORLD_PROBLEMS, heldout=WORLD_PROBLEMS)
    found = [*load_problems(settings, seed, "label"), *load_problems(settings, seed, "heldout")]
    problems = {problem.question: problem for problem in found}

    def solve_or_end(prefix: str, rng: random.Random) -> str:
        question, _, written = prefix.partition("\n")
        if question not in problems:
            raise GeneratorError(
                f"expected a problem of the exact world with seed {seed}, found {question!r}"
            )
        if "Answer:" in written:
            return ""
        if not written:
            return "".join(f"{step}\n" for step in solve(problems[question], rng, slips=slip).steps)
        wrong = judge(problems[question], written.splitlines()).first_error >= 0 or rng.random() < slip
        reference = problems[question].reference
        return f"Answer: {'1' + reference if wrong else reference}\n"

    return solve_or_end


def from_answers(answers: Mapping[str, Sequence[str]]) -> Script:
    """Draws one of the answers listed for the exact text of the prefix; an unlisted prefix is an error."""

    def look_up(prefix: str, rng: random.Random) -> str:
        if prefix not in answers:
            raise GeneratorError(f"expected a prefix that the script lists, found {prefix!r}")
        return rng.choice(answers[prefix])

    return look_up


def _long(prefix: str, rng: random.Random) -> str:
    line = "and so on and on\n"
    return (line * LONG_ANSWER_TOKENS)[:LONG_ANSWER_TOKENS]


def _refuse(prefix: str, rng: random.Random) -> str:
    raise GeneratorError("the scripted engine always fails, as its script 'error' says")


SCRIPTS: dict[str, Callable[[Options], Script]] = {
    "solver": lambda options: solver(options.slip),
    "world": lambda options: world(options.slip, options.seed),
    "empty": lambda options: lambda prefix, rng: "",
    "whitespace": lambda options: lambda prefix, rng: rng.choice((" ", "\n", " \n\t\n", "\n\n\n")),
    "long": lambda options: _long,
    "invalid-utf8": lambda options: lambda prefix, rng: b"1 + 1 = \xff\xfe2\nAnswer: \xc3\n\xe2\x82",
    "error": lambda options: _refuse,
    "hang": lambda options: lambda prefix, rng: "",
}


def parse_model(model: str) -> tuple[str, Options]:
    """Name and options of `scripted:NAME?OPTION=VALUE&...`; any other model means the plain solver.

    Raises:
        GeneratorError: an unknown script or option, or a value of the wrong kind.
    """
    scheme, _, rest = model.partition(":")
    if scheme != "scripted":
        return "solver", Options()
    name, _, query = rest.partition("?")
    if name not in SCRIPTS:
        raise UnfitSettingError(
            f"expected a script of {', '.join(sorted(SCRIPTS))}, found '{name}' in '{model}'"
        )
    readers: dict[str, Callable[[str], object]] = {
        "slip": float,
        "seed": int,
        "delay": float,
        "fail_at": lambda value: frozenset(int(call) for call in value.split(",")),
        **dict.fromkeys(("exit", "hang", "memory", "raise"), str),
    }
    try:
        given = parse_qsl(query, keep_blank_values=True)
        values = {"raises" if key == "raise" else key: readers[key](value) for key, value in given}
    except (KeyError, ValueError) as error:
        raise UnfitSettingError(
            "expected options slip=P, delay=SECONDS, seed=N, fail_at=CALL,CALL, or exit, hang, memory or "
            "raise=WORD, "
            f"found '{query}' in '{model}'"
        ) from error
    return name, Options(**values)  # type: ignore[arg-type]


class ScriptedGenerator:
    """Implements `generators.base.Generator` with a script; deterministic in (prefix, n, seed)."""

    shards_in_flight = 1

    def __init__(self, settings: GeneratorSettings, script: Script | None = None) -> None:
        """`script` replaces the one that `settings.model` names; the options of that name still hold."""
        name, self._options = parse_model(settings.model)
        self._settings, self._hangs = settings, script is None and name == "hang"
        self._script = script or SCRIPTS[name](self._options)
        self._closed = False
        self.calls = 0
        self.name = "scripted:custom" if script else f"scripted:{name}"

    def prompt(self, question: str, rollout: bool = False) -> tuple[int, ...]:
        """The bytes of the filled template. Scripts know neither chat nor thinking."""
        return self.encode(self._settings.prompt.replace("{question}", question))

    def encode(self, text: str) -> tuple[int, ...]:
        """The bytes of `text`."""
        return tuple(text.encode())

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of these bytes; invalid UTF-8 becomes U+FFFD."""
        return bytes(token_ids).decode(errors="replace")

    async def sample(self, prefix: Sequence[int], n: int, seed: int) -> Completion:
        """`n` answers of the script to `prefix`.

        Raises:
            GeneratorError: the script or its option `fail_at` says so, or the generator is closed.
        """
        if self._closed:
            raise GeneratorError("expected an open engine, found a closed one. Load it again.")
        self.calls += 1
        if self.calls in self._options.fail_at:
            raise GeneratorError(f"the scripted engine fails at call {self.calls}, as its options say")
        if self._hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(self._options.delay)
        await self._misbehave(self.decode(prefix))
        return self._complete(tuple(prefix), n, seed)

    async def _misbehave(self, text: str) -> None:
        """Do what the options say of a prefix that holds their words."""
        options = self._options
        if options.exit and options.exit in text:
            os._exit(17)
        if options.hang and options.hang in text:
            await asyncio.Event().wait()
        if options.memory and options.memory in text:
            self._hoard = [b"x" * (1 << 28) for _ in range(32)]
        if options.raises and options.raises in text:
            raise ValueError(f"the script raises at a prefix that holds {options.raises!r}")

    def _complete(self, prefix: tuple[int, ...], n: int, seed: int) -> Completion:
        if n == 0:
            return Completion((), Usage())
        text = self.decode(prefix)
        rngs = [random.Random(derived_seed("scripted", list(prefix), seed, i)) for i in range(n)]
        samples = tuple(self._end(self._script(text, rng)) for rng in rngs)
        generated = sum(len(sample.token_ids) for sample in samples)
        return Completion(samples, Usage(len(prefix), 0, generated))

    def _end(self, answer: str | bytes) -> Sample:
        """Cut an answer at the first stop string or at the cap, whichever comes first."""
        raw = answer.encode() if isinstance(answer, str) else answer
        stops = [stop.encode() for stop in self._settings.stop]
        raw = raw[: min((raw.find(s) + len(s) for s in stops if s in raw), default=len(raw))]
        capped = len(raw) > self._settings.max_new_tokens
        ids = tuple(raw[: self._settings.max_new_tokens])
        return Sample(ids, self.decode(ids), "length" if capped else "stop")

    async def close(self) -> None:
        """Refuse further calls. Safe to call twice."""
        self._closed = True
