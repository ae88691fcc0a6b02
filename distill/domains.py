"""Which checker judges the answers and steps of which domain: the one place where domains differ.

| domain | final answer | steps |
|---|---|---|
| `math`, `arith-world` | compared with the reference (`math`) | equations (`steps`) |
| `logic`, `logic-world` | entailment from the premises (`logic`) | entailment (`deduction`) |
| `code`, `code-world` | the tests, in the sandbox (`code`) | syntax, names, examples (`code_steps`) |
| `module:function` | your own function | equations (`steps`) |
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from checkers.logic import check_logic
from checkers.programs import program_of
from checkers.verdict import Status
from distill.errors import DataError
from distill.records import Problem

Asked = tuple[str, tuple[Any, ...]]
"""A checker's name in `checkers.Pool`, and the item that it is given."""
_ASKS = re.compile(r"\?$|^true,? (?:or )?false", re.IGNORECASE)
_CHOICE = re.compile(r"true(?:, false,?)? or (?:false|unknown)\?", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.?!])\s+")


def answer_check(problem: Problem, text: str) -> Asked:
    """How to judge the final answer that `text`, a whole chain, gives to `problem`.

    Raises:
        DataError: the problem lacks what its domain's checker needs.
    """
    kind = _kind(problem.domain)
    if kind == "logic":
        payload = _payload(problem)
        return "logic", (payload["premises"], payload["conclusion"], text)
    if kind == "code":
        options = _tests(problem)
        return "code", (_program(problem, text), options.pop("tests"), options)
    return (problem.domain if ":" in problem.domain else "math"), (text, problem.reference)


def step_check(domain: str, question: str, steps: Sequence[str]) -> Asked:
    """How to judge the steps of a chain, from what a verifier is given too: question and steps alone."""
    kind = _kind(domain)
    if kind == "logic":
        return "deduction", (premises_of(question), list(steps), claim_of(question))
    return ("code_steps" if kind == "code" else "steps"), (question, list(steps))


def proves(domain: str) -> bool:
    """Whether a step that the domain's check finds correct is right for certain. Entailment is; an equation
    that holds may still use the wrong operand, and a program that compiles may compute something else."""
    return _kind(domain) == "logic"


def votes_by_value(domain: str) -> bool:
    """Whether answers that are mathematically equal are one answer to a majority vote; else those of the same
    text are, which are a digest of a program's outputs, or True, False and Unknown."""
    return _kind(domain) not in ("logic", "code")


def judged(pool: Any, asked: Sequence[Asked]) -> list[Any]:
    """What `pool` (a `checkers.Pool`) finds, in order: a verdict an answer, a list of them a chain."""
    found: list[Any] = [None] * len(asked)
    for checker, places in _by_checker(asked).items():
        _put(found, places, pool.map(checker, [asked[i][1] for i in places]))
    return found


async def judged_async(pool: Any, asked: Sequence[Asked]) -> list[Any]:
    """As `judged`, without blocking the event loop."""
    found: list[Any] = [None] * len(asked)
    for checker, places in _by_checker(asked).items():
        _put(found, places, await pool.amap(checker, [asked[i][1] for i in places]))
    return found


def common_domain(chains: Sequence[Any]) -> str:
    """The `domain` that all `chains` share; "math" for several."""
    found = {chain.domain for chain in chains}
    return str(found.pop()) if len(found) == 1 else "math"


def premises_of(question: str) -> list[str]:
    """The sentences of a logic problem without what is asked, nor the claim that it is asked of: "... Is Bob
    cold?", "... True or false: Bob is cold.", "... Bob is cold. True, False or Unknown?", "... is it true
    or false? Bob is cold."."""
    sentences = [part.strip() for part in _SENTENCE.split(question.strip()) if part.strip()]
    asked = next((i for i, sentence in enumerate(sentences) if _ASKS.search(sentence)), len(sentences))
    claim_before = sentences[asked:] and _CHOICE.fullmatch(sentences[asked]) and asked == len(sentences) - 1
    return sentences[: asked - 1 if claim_before else asked]


def claim_of(question: str) -> str:
    """The statement that a logic problem asks of: "Bob is cold." in the examples of `premises_of`; for a
    question proper ("Is Bob cold?") nothing."""
    rest = question.strip()
    for premise in premises_of(question):
        rest = rest.removeprefix(premise).strip()
    stated = [part for part in _SENTENCE.split(rest) if not part.endswith("?")]
    return re.sub(r"^true,? (?:or )?false(?: or unknown)?:\s*", "", " ".join(stated), flags=re.IGNORECASE)


def contradicted(problems: Sequence[Problem]) -> list[Problem]:
    """The logic problems from files whose stated answer is not what follows from their premises."""
    own = [(problem, _payload(problem)) for problem in problems if problem.domain == "logic"]
    return [
        problem
        for problem, told in own
        if check_logic(told["premises"], told["conclusion"], problem.reference).status == Status.INCORRECT
    ]


def _kind(domain: str) -> str:
    return domain.removesuffix("-world")


def _payload(problem: Problem) -> Mapping[str, Any]:
    try:
        payload = json.loads(problem.payload)
        return {"premises": payload["premises"], "conclusion": payload["conclusion"]}
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"expected premises and a conclusion with the logic problem {problem.id}, found none. Give "
            "problems.source a file with `context` and `question`."
        ) from None


def _program(problem: Problem, text: str) -> str:
    """The program in a chain; one that only goes on where the problem breaks off (HumanEval) as a whole."""
    payload = json.loads(problem.payload) if problem.payload else {}
    name = payload.get("entry_point") or _tests(problem).get("entry_point", "")
    return program_of(text, name, payload.get("begin", ""))


def _tests(problem: Problem) -> dict[str, Any]:
    """`tests` and the other options of `checkers.check_code`; a reference that is no such JSON is a test."""
    try:
        options = json.loads(problem.reference)
    except ValueError:
        options = None
    return options if isinstance(options, dict) and "tests" in options else {"tests": [problem.reference]}


def _by_checker(asked: Sequence[Asked]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, (checker, _) in enumerate(asked):
        places.setdefault(checker, []).append(place)
    return places


def _put(found: list[Any], places: Sequence[int], verdicts: Sequence[Any]) -> None:
    for place, verdict in zip(places, verdicts, strict=True):
        found[place] = verdict
