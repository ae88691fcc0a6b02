"""The logic checker on ProntoQA's gold proofs and on ProofWriter's open-world questions.

    python benchmarks/logic_checker.py --data FOLDER/logic [--split train|dev|both]

ProntoQA: every step of every gold proof must follow; every corruption of one step must be caught (another
sign, another predicate, a rule turned round, another individual), and so must a step that cites one wrong
premise. Which corruptions are false is found here, by a closure that shares no code with the checker.
ProofWriter: a question counts as parsed if every sentence of it does; answers are those of
`answer_of(..., reasoning="rules")`, ProofWriter's own reading, with the other readings beside it.
"""

import argparse
import gzip
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from record import record

from checkers.logic import answer_of, check_deduction, check_logic
from checkers.logic.lexicon import vocabulary
from checkers.logic.sentences import read_premises
from checkers.verdict import Status

GOLD = {"A": "True", "B": "False", "C": "Unknown"}
_STATEMENT = re.compile(r"(?:(Every|Each) )?(\w+) (?:is|are) (not )?(?:an? )?(\w+)\.")
Fact = tuple[str, bool, str]


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """The problems of one file, with the bare statement as `conclusion`."""
    with gzip.open(folder / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        problems = json.load(file)
    return [row | {"conclusion": row["question"].split("? ", 1)[1]} for row in problems]


def read_fact(sentence: str) -> Fact:
    """(subject, sign, predicate) of a ProntoQA sentence, plurals in the singular."""
    found = _STATEMENT.fullmatch(sentence)
    if found is None:
        raise ValueError(f"expected a ProntoQA sentence, found {sentence!r}")
    _, subject, denied, predicate = found.groups()
    return re.sub("uses$", "us", subject.lower()), not denied, re.sub("uses$", "us", predicate)


def closure(facts: list[Fact]) -> dict[str, set[tuple[bool, str]]]:
    """What holds of each subject: the reachable predicates with their signs."""
    direct: defaultdict[str, set[tuple[bool, str]]] = defaultdict(set)
    for subject, sign, predicate in facts:
        direct[subject].add((sign, predicate))
    reached: dict[str, set[tuple[bool, str]]] = {}
    for subject in list(direct):
        found: set[tuple[bool, str]] = set()
        agenda = [(True, subject)]
        while agenda:
            sign, predicate = agenda.pop()
            new = direct.get(predicate, set()) - found if sign else set()
            found |= new
            agenda += new
        reached[subject] = found
    return reached


def corruptions(sentence: str, context: list[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    """(kind, false sentence), one of each kind that applies."""
    facts = [read_fact(line) for line in context]
    holds = closure(facts)
    subject, sign, predicate = read_fact(sentence)
    kinds = {fact[0] for fact in facts if fact[0].endswith("pus")}
    yield (
        "sign",
        (sentence.replace(" not ", " ") if not sign else re.sub(" (is|are) ", r" \1 not ", sentence)),
    )
    same_sort = kinds if predicate in kinds else {fact[2] for fact in facts} - kinds
    others = [word for word in sorted(same_sort) if (sign, word) not in holds[subject] and word != subject]
    if others:
        yield "predicate", re.sub(r"\w+\.$", _like(sentence, rng.choice(others)) + ".", sentence)
    if subject in kinds and predicate in kinds and (True, subject) not in holds.get(predicate, set()):
        yield "turned round", f"Every {predicate} is a {subject}."
    if subject not in kinds:
        yield "individual", sentence.replace(sentence.split()[0], "Zoe", 1)


def _like(sentence: str, word: str) -> str:
    """`word` in the plural where the sentence ends in one."""
    return word + "es" if sentence.endswith("uses.") else word


def cited(row: dict[str, Any], context: list[str]) -> tuple[list[str], list[str]]:
    """The proof with what each derived step rests on, and the same with one wrong citation each."""
    right, wrong = [], []
    proof = row["explanation"]
    for index, sentence in enumerate(proof):
        if sentence in context:
            right.append(sentence)
            wrong.append(sentence)
            continue
        rule, before = context.index(proof[index - 1]) + 1, len(context) + index - 1
        right.append(f"From {rule} and {before}: {sentence}")
        wrong.append(f"From {rule % len(context) + 1} and {before}: {sentence}")
    return right, wrong


def prontoqa(problems: list[dict[str, Any]]) -> dict[str, Any]:
    """Gold steps entailed, corruptions caught, answers right."""
    rng = random.Random(0)
    counts: Counter[str] = Counter()
    seconds = 0.0
    for row in problems:
        context = row["context"].split(". ")
        context = [line.rstrip(".") + "." for line in context]
        false = [pair for step in row["explanation"] for pair in corruptions(step, context, rng)]
        started = time.perf_counter()
        gold = check_deduction(row["context"], row["explanation"])
        seconds += time.perf_counter() - started
        _count(counts, "gold step", gold, Status.CORRECT)
        verdicts = check_deduction(row["context"], [sentence for _, sentence in false])
        for (kind, _), verdict in zip(false, verdicts):
            _count(counts, f"corrupted {kind}", [verdict], Status.INCORRECT)
        right, wrong = cited(row, context)
        _count(
            counts, "gold step that cites", _citing(right, check_deduction(context, right)), Status.CORRECT
        )
        _count(counts, "wrong citation", _citing(wrong, check_deduction(context, wrong)), Status.INCORRECT)
        for world in ("open", "closed"):
            right_answer = answer_of(context, row["conclusion"], world) == GOLD[row["answer"]]
            counts[f"answer {world}"] += 1
            counts[f"answer {world}: as expected"] += right_answer
    names = sorted(name for name in counts if ": " not in name)
    return {name: [counts[f"{name}: as expected"], counts[name]] for name in names} | {
        "gold_seconds": round(seconds, 2)
    }


def _citing(steps: list[str], verdicts: list[Any]) -> list[Any]:
    return [verdict for step, verdict in zip(steps, verdicts) if step.startswith("From ")]


def _count(counts: Counter[str], name: str, verdicts: list[Any], expected: Status) -> None:
    counts[name] += len(verdicts)
    counts[f"{name}: as expected"] += sum(verdict.status is expected for verdict in verdicts)


def proofwriter(problems: list[dict[str, Any]]) -> dict[str, Any]:
    """Sentences and questions parsed, and agreement with gold by each reading."""
    sentences = unread = parsed = 0
    for row in problems:
        texts = [row["context"], row["conclusion"]]
        statements = read_premises(texts, vocabulary(texts))
        faults = sum(statement.formula is None for statement in statements)
        sentences, unread, parsed = sentences + len(statements), unread + faults, parsed + (not faults)
    figures: dict[str, Any] = {"questions": len(problems), "sentences": [sentences - unread, sentences],
                               "parsed_questions": [parsed, len(problems)]}  # fmt: skip
    figures |= {
        reading: _agreement(problems, _answerer(reading)) for reading in ("rules", "classical", "auto")
    }
    verdicts = Counter(
        check_logic(row["context"], row["conclusion"], GOLD[row["answer"]]).status.value for row in problems
    )
    return figures | {"check_logic of the gold answer, reasoning=auto": dict(verdicts)}


def _answerer(reading: Any) -> Callable[[dict[str, Any]], str | None]:
    return lambda row: answer_of(row["context"], row["conclusion"], reasoning=reading)


def _agreement(
    problems: list[dict[str, Any]], answer: Callable[[dict[str, Any]], str | None]
) -> dict[str, Any]:
    started = time.perf_counter()
    answers = [answer(row) for row in problems]
    seconds = time.perf_counter() - started
    answered = sum(found is not None for found in answers)
    agree = sum(found == GOLD[row["answer"]] for found, row in zip(answers, problems))
    return {"agree_of_answered": [agree, answered], "questions": len(problems), "seconds": round(seconds, 2)}


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "dev", "both"), default="both")
    arguments = parser.parse_args()
    splits = ("train", "dev") if arguments.split == "both" else (arguments.split,)
    figures: dict[str, Any] = {}
    for split in splits:
        figures[f"proofwriter_{split}"] = proofwriter(rows(arguments.data, f"proofwriter_{split}"))
    if "dev" in splits:
        figures["prontoqa_dev"] = prontoqa(rows(arguments.data, "prontoqa_dev"))
    for name, table in figures.items():
        print(name)
        for row, value in table.items():
            print(f"  {row:50} {value}")
    if arguments.split == "both":
        record("logic_checker", "python benchmarks/logic_checker.py --data FOLDER/logic", figures)


if __name__ == "__main__":
    main()
