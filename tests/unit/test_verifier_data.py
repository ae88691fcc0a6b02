"""Chains as token ids: exact step positions, masks, and truncation that is counted."""

import pytest

from distill.errors import VerifierError
from distill.records import Chain, LabelledChain, Outcome, Problem, StepLabel, StepStatus
from distill.verifier.collate import Collator
from distill.verifier.data import IGNORED, ChainFormat, Example, encode, examples
from distill.verifier.encoded_set import encode_set
from generators.tiny.tokenizer import train_tokenizer

FORMAT = ChainFormat("{question}\n", "\n")
GOOD, BAD, OPEN = (StepLabel(s) for s in (StepStatus.GOOD, StepStatus.BAD, StepStatus.UNDETERMINED))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["How many apples? 1 + 2 = 3\nAnswer: 3\n"] * 3, 300)


def labelled(*labels):
    steps = tuple(f"{i} + 1 = {i + 1}\n" for i in range(len(labels)))
    chain = Chain("c", "p", steps, Outcome.CORRECT)
    return LabelledChain(Problem("p", "Q?", "1"), chain, tuple(labels), None, "adaptive")


def test_labels_become_one_zero_and_unknown():
    [example] = examples([labelled(GOOD, OPEN, BAD, GOOD)], mask_after_first_error=False)
    assert example.labels == (1, -100, 0, 1)
    assert example.first_error is None


def test_steps_after_the_first_error_can_be_left_out_of_the_loss():
    [example] = examples([labelled(GOOD, BAD, BAD, GOOD)], mask_after_first_error=True)
    assert example.labels == (1, 0, -100, -100)
    assert example.first_error == 1


def test_a_wrong_step_after_an_undetermined_one_may_not_be_the_first() -> None:
    [example] = examples([labelled(GOOD, OPEN, BAD, BAD)], mask_after_first_error=True)
    assert example.labels == (1, IGNORED, IGNORED, IGNORED)


def test_a_chain_without_any_label_is_left_out():
    assert examples([labelled(OPEN, OPEN)], mask_after_first_error=True) == []


def test_every_label_sits_on_the_last_token_of_its_separator(tokenizer):
    encoded = encode(tokenizer, "How many?", [" 1 + 2 = 3 \n", "Answer: 3"], FORMAT, 512)
    assert tokenizer.decode(encoded.ids) == "How many?\n1 + 2 = 3\nAnswer: 3\n"
    assert tokenizer.decode(encoded.ids[: encoded.start]) == "How many?\n"
    assert tokenizer.decode(encoded.ids[: encoded.ends[0] + 1]) == "How many?\n1 + 2 = 3\n"
    assert encoded.ends[-1] == len(encoded.ids) - 1
    assert all(tokenizer.decode([encoded.ids[end]]) == "\n" for end in encoded.ends)


def test_a_question_may_hold_braces(tokenizer):
    encoded = encode(tokenizer, "f{x} = {}", ["1"], FORMAT, 512)
    assert tokenizer.decode(encoded.ids).startswith("f{x} = {}\n")


def test_truncation_drops_whole_steps_and_counts_them(tokenizer):
    whole = encode(tokenizer, "Q", ["1 + 1 = 2", "2 + 2 = 4"], FORMAT, 512)
    cut = encode(tokenizer, "Q", ["1 + 1 = 2", "2 + 2 = 4"], FORMAT, len(whole.ids) - 1)
    assert cut.ends == whole.ends[:1]
    assert cut.cut_steps == 1
    assert encode(tokenizer, "Q" * 50, ["1"], FORMAT, 5).ends == ()


def test_an_empty_separator_on_an_empty_step_is_refused(tokenizer):
    with pytest.raises(VerifierError, match="non-empty separator"):
        encode(tokenizer, "Q", [" "], ChainFormat("{question}\n", ""), 64)


def test_a_cut_chain_is_never_taken_for_a_correct_one(tokenizer):
    item = Example("Q", ("1 + 1 = 2", "2 + 2 = 5"), (1, 0))
    limit = len(encode(tokenizer, item.question, item.steps, FORMAT, 512).ids) - 1
    cut = encode_set(tokenizer, [item], FORMAT, limit)
    assert cut.first_errors == (None,)
    assert cut.truncated_steps == 1
    assert len(cut.determined()) == 0
    assert encode_set(tokenizer, [item], FORMAT, 512).first_errors == (1,)


def test_tokens_after_the_last_label_are_not_computed(tokenizer):
    item = Example("Q", ("1 + 1 = 3", "3 + 2 = 5"), (0, -100))
    [row] = encode_set(tokenizer, [item], FORMAT, 512).rows
    assert tokenizer.decode(row["input_ids"]) == "Q\n1 + 1 = 3\n"
    assert row["labels"][-1] == 0
    assert set(row["labels"][:-1]) == {-100}


def test_a_batch_is_padded_to_its_own_longest_row(tokenizer):
    items = [Example("Q", ("1",), (1,)), Example("Q", ("1 + 1 = 2",), (0,))]
    rows = encode_set(tokenizer, items, FORMAT, 512).rows
    batch = Collator(0)(rows)
    assert batch["input_ids"].shape == batch["labels"].shape == (2, max(len(r["input_ids"]) for r in rows))
    assert batch["input_ids"][0].tolist() == rows[0]["input_ids"] + [0] * (
        len(rows[1]["input_ids"]) - len(rows[0]["input_ids"])
    )
    assert (batch["labels"] != -100).sum() == 2
