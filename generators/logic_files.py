"""Rows of deduction problems, as ProofWriter and ProntoQA are distributed, to problems.

{"id": "...", "context": "Bob is red. Red people are cold.",
 "question": "Is the following statement true, false, or unknown? Bob is cold.",
 "options": ["A) True", "B) False", "C) Unknown"], "answer": "A"}
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from distill.records import Problem, content_id

CONTEXT, OPTIONS = "context", "options"

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_ASKED = r"true(?:,? (?:or )?|/)false(?:,? (?:or )?(?:unknown|uncertain))?"
_ASKED_FIRST = re.compile(rf"(?is).*\b{_ASKED}\s*[?:]\s+(?=\S)")
_ASKED_LAST = re.compile(rf"(?i)\s+{_ASKED}\s*\?\s*$")
_OPTION = re.compile(r"\(?\b([A-Z])\s?[).:]\s*([A-Za-z]+)")
_LETTER = re.compile(r"\(?([A-Z])\b[).:]?")
_ANSWERS = {"true": "True", "yes": "True", "false": "False", "no": "False", "unknown": "Unknown",
            "uncertain": "Unknown"}  # fmt: skip


def logic_problem(row: Mapping[str, Any]) -> Problem:
    """The problem of a row with `context`, `question`, `answer` and maybe `options` and `id`.

    Its question is context and question text, its reference True, False or Unknown, its payload JSON with
    `premises` (the sentences of the context) and `conclusion` (the sentence asked about).
    Raises: ValueError for a row without context, or an answer that is none of the three.
    """
    premises = _sentences(row.get(CONTEXT) or "")
    if not premises:
        raise ValueError(f"expected facts and rules in '{CONTEXT}', found none")
    asked = str(row["question"]).strip()
    reference = _reference(str(row["answer"]), row.get(OPTIONS) or ())
    question = f"{' '.join(premises)}\n{asked}"
    return Problem(
        id=str(row.get("id") or "") or content_id("problem", "logic", question, reference),
        question=question,
        reference=reference,
        domain="logic",
        payload=json.dumps({"premises": premises, "conclusion": conclusion_of(asked)}, ensure_ascii=False),
    )


def conclusion_of(question: str) -> str:
    """The statement that a question asks about.

    conclusion_of("Is the following statement true or false? Max is sour.")  # "Max is sour."
    """
    return _ASKED_LAST.sub("", _ASKED_FIRST.sub("", question, count=1)).strip()


def _sentences(context: str | Sequence[str]) -> list[str]:
    texts = [context] if isinstance(context, str) else context
    return [sentence for text in texts for sentence in _SENTENCE_END.split(str(text).strip()) if sentence]


def _reference(answer: str, options: str | Sequence[str]) -> str:
    """True, False or Unknown: as it is written, or as the option that a letter names."""
    answer = answer.strip()
    written = _OPTION.fullmatch(answer)
    word = written[2] if written else answer
    if letter := _LETTER.fullmatch(answer):
        word = _by_letter(options).get(letter[1], "")
    if found := _ANSWERS.get(word.lower().rstrip(".")):
        return found
    raise ValueError(
        f"expected an answer True, False or Unknown, or the letter of one in '{OPTIONS}', found {answer!r} "
        f"with options {options!r}"
    )


def _by_letter(options: str | Sequence[str]) -> dict[str, str]:
    """The words of `A) True`, in a list or one text; of a list without letters, by their order."""
    texts = [options] if isinstance(options, str) else [str(option) for option in options]
    found = {letter: word for text in texts for letter, word in _OPTION.findall(text)}
    return found or {chr(ord("A") + place): text.strip() for place, text in enumerate(texts[:26])}
