"""Labelled chains as rows of token ids and targets: what training and validation read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from distill.errors import VerifierError
from distill.verifier.collate import Row
from distill.verifier.data import IGNORED, ChainFormat, Example, Window, encode_windows, first_error_of
from distill.verifier.losses import outcome_labels
from distill.verifier.pairs import pairs_of

Loss = Literal["hard", "soft", "contrastive", "outcome"]


@dataclass(frozen=True)
class EncodedSet(Dataset):
    """Encoded examples with at least one label, a row a window. `first_errors` and `places`, (chain, window),
    are one a row: the first error is that of the row's whole chain.

    `truncated_steps` labelled steps, of `cut_chains` chains, were cut off; `chains` were encoded, of
    which `windowed` needed more than one row. `pairs` rows carry a partner (contrastive loss); `partners` are
    the chains whose row these are.
    """

    rows: tuple[Row, ...]
    first_errors: tuple[int | None, ...]
    places: tuple[tuple[int, int], ...]
    truncated_steps: int
    cut_chains: int = 0
    windowed: int = 0
    pairs: int = 0
    partners: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    @property
    def tokens(self) -> int:
        """Tokens of all rows, padding not counted."""
        return sum(len(row["input_ids"]) for row in self.all_rows())

    @property
    def chains(self) -> int:
        """Chains that there is a row of."""
        return len({chain for chain, _ in self.places} | self.partners)

    @property
    def labelled_steps(self) -> int:
        """Steps that the loss sees."""
        return sum(label != IGNORED for row in self.all_rows() for label in row["labels"])

    def all_rows(self) -> Iterator[Row]:
        """Rows, and the partners that some carry."""
        for row in self.rows:
            yield row
            if "partner" in row:
                yield row["partner"]

    @property
    def both_kinds(self) -> bool:
        """Whether there are chains with and chains without an error."""
        known = [first for first in self.first_errors if first is not None]
        return any(first >= 0 for first in known) and any(first < 0 for first in known)

    def determined(self) -> "EncodedSet":
        """Only chains whose first error is known: those that first-error F1 is about. Every row carries its
        `place`, so that the windows of a chain can be judged as the one chain that they are."""
        kept = [i for i, first in enumerate(self.first_errors) if first is not None]
        rows = tuple(self.rows[i] | {"place": self.places[i]} for i in kept)
        firsts, places = tuple(self.first_errors[i] for i in kept), tuple(self.places[i] for i in kept)
        return replace(self, rows=rows, first_errors=firsts, places=places)


def encode_set(
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[Example],
    chain_format: ChainFormat,
    limit: int,
    loss: Loss = "hard",
) -> EncodedSet:
    """Encode examples within `limit` tokens, with the labels that `loss` learns from; a chain (or window)
    left without any label is dropped. What was cut is counted in labelled steps, and is an unknown label to
    the first error: a cut chain is never called correct."""
    rows: list[Row] = []
    firsts: list[int | None] = []
    places: list[tuple[int, int]] = []
    lost: list[int] = []
    first_row: dict[int, tuple[int, Window]] = {}
    for index, item in enumerate(items):
        aimed = aim(item, loss)
        windows = encode_windows(tokenizer, item.question, item.steps, chain_format, limit)
        seen = {step for window in windows for step, _ in window.positions}
        lost.append(sum(label != IGNORED for i, label in enumerate(aimed.labels) if i not in seen))
        first = first_error_of([y if i in seen else IGNORED for i, y in enumerate(aimed.labels)])
        for number, window in enumerate(windows):
            row = _row(window, aimed, loss == "soft")
            if row is not None:
                if number == 0:
                    first_row[index] = (len(rows), window)
                rows.append(row)
                firsts.append(first)
                places.append((index, number))
    found = EncodedSet(
        tuple(rows),
        tuple(firsts),
        tuple(places),
        sum(lost),
        cut_chains=sum(count > 0 for count in lost),
        windowed=len(rows) - len(first_row) if chain_format.windows else 0,
    )
    return with_partners(found, items, first_row) if loss == "contrastive" else found


def aim(item: Example, loss: Loss) -> Example:
    """The example with the labels that `loss` learns from: the outcome at the last step, or (soft) a side
    for every step with evidence, or its own."""
    if loss == "outcome":
        return replace(item, labels=outcome_labels(len(item.steps), item.outcome))
    if loss == "soft" and item.soft:
        known = zip(item.soft, item.evidence)
        return replace(item, labels=tuple(int(q >= 0.5) if w > 0 else IGNORED for q, w in known))
    return item


def with_partners(
    found: EncodedSet, items: Sequence[Example], first_row: Mapping[int, tuple[int, Window]]
) -> EncodedSet:
    """Rows of chains that share a prefix joined into one, so that a batch never parts them.

    Raises:
        VerifierError: there is no such pair.
    """
    joined: dict[int, Row] = {}
    gone: set[int] = set()
    for pair in pairs_of(items):
        if pair.good not in first_row or pair.bad not in first_row:
            continue
        (good, here), (bad, there) = first_row[pair.good], first_row[pair.bad]
        if pair.step >= min(len(here.encoded.ends), len(there.encoded.ends)):
            continue
        long, short = sorted((good, bad), key=lambda i: -len(found.rows[i]["input_ids"]))
        ends = {good: here.encoded.ends[pair.step], bad: there.encoded.ends[pair.step]}
        partner = {"partner": found.rows[short], "at": (ends[long], ends[short]), "good_first": long == good}
        joined[long] = found.rows[long] | partner
        gone.add(short)
    if not joined:
        raise VerifierError(
            "expected chains of one question that share a prefix and part at a good and a bad step, found "
            f"none among {len(items)}; take another `loss`, or data with several chains a problem"
        )
    kept = [i for i in range(len(found.rows)) if i not in gone]
    rows = tuple(joined.get(i, found.rows[i]) for i in kept)
    firsts, places = tuple(found.first_errors[i] for i in kept), tuple(found.places[i] for i in kept)
    partners = frozenset(found.places[i][0] for i in gone)
    return replace(found, rows=rows, first_errors=firsts, places=places, pairs=len(joined), partners=partners)


def _row(window: Window, item: Example, soft: bool) -> Row | None:
    """Ids and labels up to the last label (in a causal model what follows it cannot change the loss);
    None without a label."""
    at = {end: step for step, end in window.positions if item.labels[step] != IGNORED}
    if not at:
        return None
    length = max(at) + 1
    row: Row = {"input_ids": list(window.encoded.ids[:length])}
    row["labels"] = [item.labels[at[i]] if i in at else IGNORED for i in range(length)]
    if soft:
        targets = item.soft or tuple(float(label == 1) for label in item.labels)
        evidence = item.evidence or (1.0,) * len(item.labels)
        row["soft"] = [targets[at[i]] if i in at else 0.0 for i in range(length)]
        row["evidence"] = [evidence[at[i]] if i in at else 0.0 for i in range(length)]
    return row
