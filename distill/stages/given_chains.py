"""Chains that the user brings in a file (`chains.path`), and the problems that they solve.

A row has `question`, `steps` (a list of texts, or one text that is segmented as the teacher's are) and,
where it is known, `reference`. A question of `problems.source` is that very problem, exact truth and
all; its own reference is needed for any other.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distill.config import ChainSettings, Recipe
from distill.errors import DataError, UnfaithfulPrefixError
from distill.records import Problem, content_id
from distill.steps import segment, split_steps
from generators.base import Generator
from generators.sources import load_problems, normalised
from generators.tables import read_file


@dataclass(frozen=True, slots=True)
class GivenChain:
    """One row of the file, its steps as they stand there: texts, or one text that is to be segmented."""

    question: str
    steps: tuple[str, ...] | str
    reference: str
    row: int


def read_given(path: str) -> dict[str, list[GivenChain]]:
    """The chains of every question (in its normalised form), in the order of the file.

    Raises:
        DataError: the file cannot be read, or a row has no question or no steps.
    """
    found: dict[str, list[GivenChain]] = defaultdict(list)
    for row in read_file(path):
        question, reference = (str(row.values.get(key) or "") for key in ("question", "reference"))
        steps = _steps(row.values.get("steps"))
        if not question.strip() or not steps:
            raise DataError(
                "expected `question` (text) and `steps` (a list of texts that are not blank, or one text) in "
                f"row {row.number} of '{path}', found the keys {', '.join(row.values)}. Fill it or remove it."
            )
        found[normalised(question)].append(GivenChain(question, steps, reference, row.number))
    return found


def _steps(value: Any) -> tuple[str, ...] | str:
    """Steps of a row, () where they are not as they should be."""
    if isinstance(value, str):
        return value if value.strip() else ()
    if not isinstance(value, list) or not all(isinstance(step, str) and step.strip() for step in value):
        return ()
    return tuple(value)


def given_steps(row: GivenChain, settings: ChainSettings, engine: Generator) -> tuple[str, ...]:
    """The steps of a row: those of a list as they are, each on lines of its own; those of a text as the
    recipe segments it, by the tokens of `engine` where it counts tokens.

    Raises:
        UnfaithfulPrefixError: the tokens of `engine` do not give the text back.
    """
    if not isinstance(row.steps, str):
        separator = "\n\n" if settings.segment == "blank_line" else "\n"
        return tuple(step.strip() + separator for step in row.steps)
    if settings.segment != "tokens":
        return split_steps(row.steps, settings.segment)
    token_ids, _ = encode_steps(engine, [row.steps])
    return segment(token_ids, engine.decode, settings)[0]


def given_problems(recipe: Recipe) -> tuple[list[Problem], dict[str, int]]:
    """Problems of the file's chains, at most `problems.count`, and how many questions went where.

    A question that is held out is never labelled; one without any reference cannot be.

    Raises:
        DataError: no question of the file can be labelled, or rows disagree about a reference.
    """
    path, settings = recipe.chains.path or "", recipe.problems
    given = read_given(path)
    known = _known(given, recipe)
    held_out = {normalised(problem.question) for problem in heldout_problems(recipe)}
    found = {key: known.get(key) or _problem(chains, recipe) for key, chains in given.items()}
    usable = [key for key, problem in found.items() if key not in held_out and problem.reference]
    usable.sort(key=lambda key: content_id("part", recipe.seed, key))
    kept = usable[: settings.count]
    fates = {
        "labelled": len(kept),
        "beyond problems.count": len(usable) - len(kept),
        "held out": len(held_out & set(given)),
        "no reference": sum(not found[key].reference for key in given if key not in held_out),
    }
    if not kept:
        raise DataError(
            f"expected questions to label in '{path}', found none of {len(given)} ({fates}). Give each row a "
            "`reference`, or name with problems.source and problems.path where the questions come from."
        )
    return [found[key] for key in kept], fates


def heldout_problems(recipe: Recipe) -> list[Problem]:
    """Problems kept apart. They depend on no `count` when chains come from a file, whose questions may be
    of any number and need not be in `problems.source` at all."""
    settings = recipe.problems
    if recipe.chains.path:
        settings = settings.model_copy(update={"count": 0})
    return load_problems(settings, recipe.seed, "heldout") if settings.heldout else []


def _known(given: dict[str, list[GivenChain]], recipe: Recipe) -> dict[str, Problem]:
    """Problems of `problems.source` by question; those of a file are only needed for their references."""
    bare = any(not chain.reference for chains in given.values() for chain in chains)
    if recipe.problems.source != "world" and not bare:
        return {}
    return {normalised(p.question): p for p in load_problems(recipe.problems, recipe.seed, "label")}


def _problem(chains: Sequence[GivenChain], recipe: Recipe) -> Problem:
    """The problem that the rows of one question state."""
    stated = {chain.reference: chain.row for chain in chains if chain.reference}
    if len(stated) > 1:
        told = ", ".join(f"'{reference}' (row {row})" for reference, row in stated.items())
        raise DataError(
            f"expected one reference a question in '{recipe.chains.path}', found {told}. Mend it."
        )
    question, reference, domain = chains[0].question, next(iter(stated), ""), recipe.problems.domain
    return Problem(
        id=content_id("problem", domain, question, reference),
        question=question,
        reference=reference,
        domain=domain,
        source=f"chains:{recipe.chains.path}",
    )


_PLAIN = ("So 1 + 1 = 2.\n", "Then 2 + 2 = 4.\n")


def spelt_steps(engine: Generator, steps: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """As `encode_steps`, but empty where it is only these steps that the tokenizer does not give back: some
    write a character another way, as U+2126 (ohm) as an omega. One such chain shall not end a run.

    Raises:
        UnfaithfulPrefixError: the tokenizer gives no steps back.
    """
    try:
        return encode_steps(engine, steps)
    except UnfaithfulPrefixError:
        encode_steps(engine, _PLAIN)
        return (), ()


def encode_steps(engine: Generator, steps: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Token ids of a chain that `engine` did not write, and how many there are up to each step's end.

    Steps are encoded one by one, so that every prefix ends exactly where its step does.

    Raises:
        UnfaithfulPrefixError: these ids do not give the same text back.
    """
    begin = len(engine.encode(""))
    ids: list[int] = []
    ends: list[int] = []
    for step in steps:
        ids += engine.encode(step)[begin:]
        ends.append(len(ids))
    if engine.decode(ids) != "".join(steps):
        raise UnfaithfulPrefixError(
            f"expected the tokenizer of {engine.name} to give back the steps of a chain from elsewhere, "
            f"found {engine.decode(ids)[:80]!r} for {''.join(steps)[:80]!r}. Use a model with a byte-level "
            "tokenizer, or let the completer be the teacher itself (leave `completer` out)."
        )
    return tuple(ids), tuple(ends)
