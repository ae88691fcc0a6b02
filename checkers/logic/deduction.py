"""Steps of a deduction: each is right if what it states follows from the premises, and from what it cites."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from checkers.logic.answers import check_logic, unreadable
from checkers.logic.claims import HYPOTHETICAL, LONGEST_STEP, Claims, read_claims
from checkers.logic.faults import ContradictionError, LogicFault, NotRulesError
from checkers.logic.formulas import Formula, conjunction, individuals
from checkers.logic.lexicon import vocabulary
from checkers.logic.prover import Prover
from checkers.logic.sentences import (
    Statement,
    as_texts,
    check_size,
    label_keys,
    read_premises,
    read_statement,
    strangers,
)
from checkers.verdict import Status, Verdict, correct, incorrect, undecided

MOST_STEPS = 500
_ANSWER = re.compile(r"\s*(?:the )?(?:final )?answer(?: is|:)", re.IGNORECASE)
_JOINT = re.compile(r",? and ")
_FOLLOWS = correct("follows from the premises")


def check_deduction(
    premises: str | Sequence[str], steps: Sequence[str], conclusion: str = ""
) -> list[Verdict]:
    """One verdict for each step: correct if every sentence of it is in the premises or follows.

    Follows: by the rules, or else in classical logic (so a rule may be used backwards), always in the open
    world. A step that cites ("From 3 and 7: ...", "... (by rule 2)", "3, 7 -> ...") must follow from what it
    cites too; numbers are those that the texts carry, else premises count from 1 and steps on from there. A
    step that follows only from an earlier wrong step is incorrect; one that follows but cites a wrong step is
    undecided. So are: a sentence outside the grammar, what comes after an assumption, what an unreadable
    premise could yet support, contradictory premises, too much work. No text makes it raise or run long.
    With the `conclusion` that is asked of, a step `Answer: ...` is judged as by `check_logic`.

        check_deduction("Bob is red. Red people are cold.", ["From 1 and 2: Bob is cold.", "Bob is kind."])
        # [correct, incorrect: 'Bob is kind.' does not follow from the premises]
    """
    try:
        chain = _read(as_texts(premises), list(steps))
    except LogicFault as fault:
        return [undecided(str(fault))] * len(steps)
    verdicts: list[Verdict] = []
    stands: list[bool] = []
    for index in range(len(steps)):
        if conclusion and _ANSWER.match(steps[index]):
            verdicts.append(check_logic(premises, conclusion, steps[index]))
            stands.append(False)
            continue
        verdict = _guarded(_judge_statements, chain, chain.steps[index])
        stands.append(verdict.status is Status.CORRECT)
        if stands[-1] and chain.steps[index].claims.cited:
            verdict = _guarded(_judge_citations, chain, index, stands)
        verdicts.append(verdict)
    return verdicts


def _guarded(judge: Callable[..., Verdict], *arguments: object) -> Verdict:
    try:
        return judge(*arguments)
    except LogicFault as fault:
        return undecided(str(fault))


@dataclass(frozen=True, slots=True)
class _Step:
    claims: Claims
    statements: tuple[Statement, ...]
    conditional: bool  # it stands under an assumption

    @property
    def formula(self) -> Formula | None:
        """All that it states; None where some of it cannot be read."""
        parts = [statement.formula for statement in self.statements]
        read = [part for part in parts if part is not None]
        return conjunction(read) if parts and len(read) == len(parts) else None


@dataclass(frozen=True, slots=True)
class _Chain:
    premises: list[Statement]
    steps: list[_Step]
    prover: Prover
    premises_by_number: dict[str, list[int]] = field(default_factory=dict)
    steps_by_number: dict[str, list[int]] = field(default_factory=dict)


def _read(premises: list[str], steps: list[str]) -> _Chain:
    """Raises: TooLargeError."""
    check_size([*premises, *steps[:MOST_STEPS]])
    known = vocabulary([*premises, *steps[:MOST_STEPS]])
    statements = read_premises(premises, known)
    read = _read_steps(steps, known)
    formulas = tuple(statement.formula for statement in statements if statement.formula is not None)
    claimed = [said.formula for step in read for said in step.statements if said.formula is not None]
    mentioned = frozenset().union(*map(individuals, claimed))
    by_number: defaultdict[str, list[int]] = defaultdict(list)
    for index, statement in enumerate(statements):
        for number in statement.numbers:
            by_number[number].append(index)
    return _Chain(
        statements, read, Prover(formulas, mentioned), by_number, _numbered(read, len(premises), statements)
    )


def _read_steps(steps: Sequence[str], known: frozenset[str]) -> list[_Step]:
    read = []
    conditional = False
    for index, text in enumerate(steps):
        if index >= MOST_STEPS or len(text) > LONGEST_STEP:
            fault = Statement(
                text[:80], None, f"it is beyond {MOST_STEPS} steps or {LONGEST_STEP} characters"
            )
            read.append(_Step(Claims(()), (fault,), conditional))
            continue
        claims = read_claims(text)
        conditional = conditional or bool(HYPOTHETICAL.search(text))
        said = tuple(part for sentence in claims.sentences for part in _statements(sentence, known))
        read.append(_Step(claims, said, conditional))
    return read


def _statements(sentence: str, known: frozenset[str]) -> list[Statement]:
    """The sentence, or where it cannot be read whole, what `and` joins in it."""
    whole = read_statement(sentence, known)
    if whole.formula is not None or len(pieces := _JOINT.split(sentence)) < 2:
        return [whole]
    parts = [read_statement(piece, known) for piece in pieces]
    sentences = [part.formula is not None and not strangers(part.formula, ()) for part in parts]
    return parts if all(sentences) else [whole]


def _numbered(steps: Sequence[_Step], texts: int, premises: Sequence[Statement]) -> dict[str, list[int]]:
    """Where each number that may be cited leads among the steps."""
    by_number: defaultdict[str, list[int]] = defaultdict(list)
    labelled = any(step.claims.label for step in steps)
    before = len(premises) if texts == 1 else texts
    for index, step in enumerate(steps):
        label = step.claims.label if labelled else str(before + index + 1)
        for number in label_keys(label) if label else ():
            by_number[number].append(index)
    return by_number


def _judge_statements(chain: _Chain, step: _Step) -> Verdict:
    """Whether all that it states follows from the premises. Raises: LogicFault."""
    unread = ""
    for said in step.statements:
        if said.formula is None or strangers(said.formula, chain.premises):
            unread = (
                unread or f"the sentence {said.text[:200]!r} cannot be read: {said.fault or 'unknown names'}"
            )
        elif not _follows(chain.prover, said.formula):
            return _does_not_follow(chain, step, said, said.formula)
    if unread or not step.statements:
        return undecided(unread or "no statement to check")
    return _FOLLOWS


def _follows(prover: Prover, formula: Formula) -> bool:
    """By the rules, or else classically. Raises: LogicFault."""
    try:
        if prover.by_rules(formula) == "True":
            return True
    except (NotRulesError, ContradictionError):
        pass
    return prover.classically(formula) == "True"


def _does_not_follow(chain: _Chain, step: _Step, said: Statement, formula: Formula) -> Verdict:
    """The verdict on a sentence that does not follow from what could be read of the premises."""
    found = chain.prover.classically(formula)
    if step.conditional:
        return undecided(f"{said.text[:200]!r} stands under an assumption")
    if found != "False" and (unread := unreadable(chain.premises)):
        return undecided(f"{said.text[:200]!r} does not follow from what can be read; {unread}")
    how = "contradicts" if found == "False" else "does not follow from"
    return incorrect(f"{said.text[:200]!r} {how} the premises", (said.text[:200], found))


def _judge_citations(chain: _Chain, index: int, stands: Sequence[bool]) -> Verdict:
    """Of a step that follows from the premises: whether it does from what it cites. Raises: LogicFault."""
    step = chain.steps[index]
    cited = ", ".join(step.claims.cited)
    from_premises = [_named(label, chain.premises_by_number) for label in step.claims.cited]
    from_steps = [
        [at for at in _named(label, chain.steps_by_number) if at < index] for label in step.claims.cited
    ]
    if any(len(found) + len(others) != 1 for found, others in zip(from_premises, from_steps)):
        return _cited_at_will(chain, step, from_premises, from_steps, cited)
    if wrong := [at for found in from_steps for at in found if not stands[at]]:
        return undecided(f"it rests on step {wrong[0] + 1}, which is not known to be right")
    grounds = [chain.premises[at].formula for found in from_premises for at in found]
    grounds += [chain.steps[at].formula for found in from_steps for at in found]
    return _from(chain, step, grounds, cited)


def _named(label: str, by_number: dict[str, list[int]]) -> list[int]:
    """What `rule 3` names: what is called rule 3, else what is called 3."""
    return next((by_number[key] for key in reversed(label_keys(label)) if key in by_number), [])


def _cited_at_will(
    chain: _Chain, step: _Step, from_premises: list[list[int]], from_steps: list[list[int]], cited: str
) -> Verdict:
    """Where a number names nothing or several things: refuted only if all together do not support it."""
    if any(not found and not others for found, others in zip(from_premises, from_steps)):
        return undecided(f"it cites {cited}, which is not all there")
    grounds = [chain.premises[at].formula for found in from_premises for at in found]
    grounds += [chain.steps[at].formula for found in from_steps for at in found]
    verdict = _from(chain, step, grounds, cited)
    if verdict.status is Status.INCORRECT:
        return verdict
    return undecided(f"it cites {cited}, which may mean several statements")


def _from(chain: _Chain, step: _Step, grounds: Iterable[Formula | None], cited: str) -> Verdict:
    """Whether the step follows from `grounds` alone. Raises: LogicFault."""
    grounds = list(grounds)
    read = tuple(ground for ground in grounds if ground is not None)
    prover = Prover(read, chain.prover.mentioned, chain.prover.budget)
    claimed = [said.formula for said in step.statements if said.formula is not None]
    if all(_follows(prover, formula) for formula in claimed):
        return correct(f"follows from {cited}")
    if len(read) < len(grounds):
        return undecided(f"{cited} cannot all be read")
    if len(grounds) == 1:
        return undecided(f"follows from the premises, of which {cited} may be the one worth naming")
    return incorrect(f"follows from the premises, but not from {cited} alone", (cited, "Unknown"))
