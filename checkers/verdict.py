"""What a checker says: correct, incorrect or undecided, with the reason and what was compared."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The three answers of a checker. Undecided is never to be counted as wrong.

    Each equals its name as text:

        Status.CORRECT == "correct"  # True
    """

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement. Plain values only: it pickles, compares and hashes.

    `compared` is (what the text states, what it was held against), as text; None when nothing was.

        verdict = Verdict(Status.INCORRECT, "another number", compared=("17", "18"))
        verdict.status, verdict.compared[0]  # ("incorrect", "17")
    """

    status: Status
    reason: str
    compared: tuple[str, str] | None = None


def correct(reason: str, compared: tuple[str, str] | None = None) -> Verdict:
    """The text states what the rule demands."""
    return Verdict(Status.CORRECT, reason, compared)


def incorrect(reason: str, compared: tuple[str, str] | None = None) -> Verdict:
    """The text states something else than the rule demands."""
    return Verdict(Status.INCORRECT, reason, compared)


def undecided(reason: str, compared: tuple[str, str] | None = None) -> Verdict:
    """The rule cannot tell; `reason` says why."""
    return Verdict(Status.UNDECIDED, reason, compared)
