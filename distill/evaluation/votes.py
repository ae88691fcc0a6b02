"""Which answers of a problem are one answer, however they are written: what a majority vote counts."""

from collections.abc import Sequence

import checkers
from distill.domains import votes_by_value
from distill.records import ScoredChain


def one_spelling(problems: Sequence[Sequence[ScoredChain]]) -> list[dict[str, str]]:
    """For the chains of each problem: every answer as it is written, and the first that is the same.

    In order, an answer is held against the first of each group that there is, by the mathematical checker,
    and joins the first group that it equals, else begins one: at most n (n - 1) / 2 checks for n different
    texts, each with a deadline. Undecided is another answer. Empty answers are left out.
    """
    found = [{text: text for chain in chains if (text := chain.answer.strip())} for chains in problems]
    waiting = [
        list(texts) if chains and votes_by_value(chains[0].domain) else []
        for chains, texts in zip(problems, found)
    ]
    with checkers.Pool() as pool:
        while any(waiting):  # a round settles the first group of those left in every problem
            pairs = [(row, texts[0], text) for row, texts in enumerate(waiting) for text in texts[1:]]
            verdicts = pool.map("math", [(f"\\boxed{{{text}}}", first) for _, first, text in pairs])
            waiting = [[] for _ in waiting]
            for (row, first, text), verdict in zip(pairs, verdicts):
                if verdict.status is checkers.Status.CORRECT:
                    found[row][text] = first
                else:
                    waiting[row].append(text)
    return found
