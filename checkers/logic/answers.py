"""Final answers: is a conclusion True, False or Unknown given the premises, and is that what was answered?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from checkers.logic.faults import LogicFault, NotRulesError, UnreadableError
from checkers.logic.formulas import Formula, atoms, individuals
from checkers.logic.lexicon import vocabulary
from checkers.logic.prover import Answer, Prover
from checkers.logic.sentences import (
    Statement,
    as_texts,
    check_size,
    parse_statement,
    read_premises,
    strangers,
    without_question,
)
from checkers.verdict import Verdict, correct, incorrect, undecided

World = Literal["open", "closed"]
Reasoning = Literal["auto", "rules", "classical"]

_LONGEST_ANSWER = 10_000
_ANSWERS: dict[str, Answer] = {"true": "True", "yes": "True", "false": "False", "no": "False"}
_UNKNOWABLE = re.compile(r"\b(?:can ?not|can['’]t) be (?:determined|known|inferred|decided)\b")
_ANSWER = re.compile(r"\b(true|false|unknown|uncertain|undetermined)\b|^\W*(yes|no)\W*$")
_NEGATED = re.compile(r"\b(?:not|neither|nor|or)\b|n['’]t\b")
_FINAL = re.compile(r"(?s).*\banswer(?: is|:)")


def check_logic(
    premises: str | Sequence[str],
    conclusion: str,
    answer: str = "True",
    world: World = "open",
    reasoning: Reasoning = "auto",
) -> Verdict:
    """Whether `answer` (True, False or Unknown, in a sentence or alone) is right about the conclusion.

    Without `answer` the conclusion itself is judged: correct exactly if it follows. Compared: the answer
    given and the right one. Undecided: a sentence outside the grammar (the reason quotes it) that could
    matter, premises that contradict each other, too much work; and, with reasoning="auto", an answer that
    depends on the reading, as rules or as classical logic (see `answer_of`). No text makes it raise or run
    long. Raises: ValueError for an unknown world or reasoning.

        check_logic("Bob is red. Red people are cold.", "Bob is cold").status  # correct
        check_logic("Bob is red.", "Bob is kind", "False").compared            # ("False", "Unknown")
        check_logic(["P -> Q", "~Q"], "~P").status                             # correct
    """
    _check_options(world, reasoning)
    if (given := read_answer(answer)) is None:
        return undecided(f"expected an answer True, False or Unknown, found {answer[:80]!r}")
    try:
        question = _read(premises, conclusion)
        found = _answer(question, world, reasoning)
        if world == "open" and reasoning == "auto" and (other := _classical(question)) != found:
            return undecided(f"as rules the premises give {found}, in classical logic {other}")
    except LogicFault as fault:
        return undecided(str(fault))
    if given == found:
        return correct(f"the conclusion is {found}", (given, found))
    return incorrect(f"the conclusion is {found}, not {given}", (given, found))


def answer_of(
    premises: str | Sequence[str], conclusion: str, world: World = "open", reasoning: Reasoning = "auto"
) -> Answer | None:
    """The right answer, or None where there is none to give (`check_logic` says why).

    Readings of the open world. "rules": facts and rules chain forward and a denial must be derived like
    anything else; this is ProofWriter's gold, where a rule is not used backwards. "classical": whatever holds
    in all models, so contraposition and cases too. "auto": rules where the texts are facts and rules about
    individuals, else (propositions, alternatives, equivalences) classical. A closed world holds false
    whatever is not derived (ProofWriter's CWA), and answers True or False.

    A premise outside the grammar takes away only the answers that it could change: in the open world, where
    more premises never undo a conclusion, Unknown; in the closed world, all.

        answer_of("Bob is red. Red people are cold.", "Bob is not cold")   # "False"
        answer_of("Bob is red.", "Bob is kind", world="closed")            # "False"
    """
    _check_options(world, reasoning)
    try:
        return _answer(_read(premises, conclusion), world, reasoning)
    except LogicFault:
        return None


def read_answer(text: str) -> Answer | None:
    """The answer that `text` gives: `A) True`, `The answer is unknown.`; None for none or several."""
    text = _UNKNOWABLE.sub("unknown", text[-_LONGEST_ANSWER:].lower())
    final = _FINAL.sub("", text)
    found = {_ANSWERS.get(word or short, "Unknown") for word, short in _ANSWER.findall(final)}
    return found.pop() if len(found) == 1 and not _NEGATED.search(final) else None


@dataclass(frozen=True, slots=True)
class _Question:
    premises: list[Statement]
    conclusion: Formula
    symbolic: bool
    prover: Prover


def _read(premises: str | Sequence[str], conclusion: str) -> _Question:
    """Raises: LogicFault where the conclusion cannot be read or a text is too long."""
    texts = as_texts(premises)
    check_size([*texts, conclusion])
    said = without_question(conclusion)
    known = vocabulary([*texts, said])
    statements = read_premises(texts, known)
    try:
        formula = parse_statement(said, known)
    except UnreadableError as fault:
        raise UnreadableError(f"the conclusion {said[:200]!r} cannot be read: {fault}") from None
    if not statements:
        raise UnreadableError("expected premises, found none")
    if strange := strangers(formula, statements):
        lost = f"the premises do not speak of {', '.join(sorted(strange))[:200]}"
        raise UnreadableError(unreadable(statements) or lost)
    formulas = tuple(statement.formula for statement in statements if statement.formula is not None)
    symbolic = any(not atom.args for said in (*formulas, formula) for atom in atoms(said))
    return _Question(statements, formula, symbolic, Prover(formulas, frozenset(individuals(formula))))


def _answer(question: _Question, world: World, reasoning: Reasoning) -> Answer:
    """Raises: LogicFault where there is no answer."""
    unread = unreadable(question.premises)
    if world == "closed":
        if unread:
            raise UnreadableError(unread)
        return question.prover.closed(question.conclusion)
    found = _open(question, reasoning)
    if found == "Unknown" and unread:
        raise UnreadableError(unread)
    return found


def _open(question: _Question, reasoning: Reasoning) -> Answer:
    if reasoning == "classical" or (reasoning == "auto" and question.symbolic):
        return question.prover.classically(question.conclusion)
    try:
        return question.prover.by_rules(question.conclusion)
    except NotRulesError:
        if reasoning == "rules":
            raise
        return question.prover.classically(question.conclusion)


def _classical(question: _Question) -> Answer:
    return question.prover.classically(question.conclusion)


def unreadable(premises: Sequence[Statement]) -> str:
    """Which premise cannot be read, and why ('' if all can)."""
    for statement in premises:
        if statement.formula is None:
            return f"the premise {statement.text[:200]!r} cannot be read: {statement.fault}"
    return ""


def _check_options(world: str, reasoning: str) -> None:
    if world not in get_args(World) or reasoning not in get_args(Reasoning):
        raise ValueError(
            f"expected world in {get_args(World)} and reasoning in {get_args(Reasoning)}, "
            f"found {world!r} and {reasoning!r}"
        )
