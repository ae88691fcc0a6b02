"""Segmentation: nothing is lost, nothing is moved, and token boundaries follow step boundaries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import make_tokenizer

from distill.steps import split_steps, step_ends, strip_step

STRATEGIES = ("newline", "blank_line")
strategies = st.sampled_from(STRATEGIES)
texts = st.one_of(
    st.text(),
    st.text(alphabet="ab \n\t\r\u2028é🙂"),
    st.lists(st.sampled_from(["a", "3 + 4 = 7", "\n", "\n\n", " ", "\r\n", "🙂"])).map("".join),
)


@pytest.mark.parametrize(
    ("text", "newline", "blank_line"),
    [
        ("", (), ()),
        ("one", ("one",), ("one",)),
        ("a\nb\n", ("a\n", "b\n"), ("a\nb\n",)),
        ("a\n\nb\n\n\n", ("a\n\n", "b\n\n\n"), ("a\n\n", "b\n\n\n")),
        ("a\n \t\nb", ("a\n \t\n", "b"), ("a\n \t\n", "b")),
        ("\n\na\n", ("\n\na\n",), ("\n\na\n",)),
        (" \n ", (" \n ",), (" \n ",)),
        ("a\r\n\r\nb", ("a\r\n\r\n", "b"), ("a\r\n\r\n", "b")),
        ("a\n\n  b", ("a\n\n", "  b"), ("a\n\n", "  b")),
        ("a\u2028b\n", ("a\u2028b\n",), ("a\u2028b\n",)),
    ],
)
def test_table(text, newline, blank_line):
    assert split_steps(text, "newline") == newline
    assert split_steps(text, "blank_line") == blank_line


@given(texts, strategies)
def test_joining_gives_the_text_back(text, strategy):
    assert "".join(split_steps(text, strategy)) == text


@given(texts, strategies)
def test_no_step_is_blank_unless_the_text_is(text, strategy):
    steps = split_steps(text, strategy)
    assert all(strip_step(step) for step in steps) or (len(steps) == 1 and not text.strip())


@given(texts, strategies)
def test_every_step_but_the_last_ends_with_its_separator(text, strategy):
    for step in split_steps(text, strategy)[:-1]:
        assert step.endswith("\n") or step.split("\n")[-1].strip() == ""
        assert step.count("\n") >= {"newline": 1, "blank_line": 2}[strategy]


@given(st.lists(st.text(alphabet="abc =+1").filter(str.strip), min_size=1, max_size=1000), strategies)
@settings(max_examples=25, deadline=None)
def test_chains_of_1_to_1000_steps(lines, strategy):
    separator = {"newline": "\n", "blank_line": "\n\n"}[strategy]
    steps = tuple(line + separator for line in lines)
    assert split_steps("".join(steps), strategy) == steps


# ---- token boundaries


def byte_decode(token_ids) -> str:
    return bytes(token_ids).decode(errors="replace")


def pair_decode(token_ids) -> str:
    """Tokens of two characters each, so that half of the boundaries fall within a token."""
    return "".join(chr(token >> 32) + chr(token & 0xFFFFFFFF) for token in token_ids)


def pair_encode(text: str) -> list[int]:
    padded = text + " " * (len(text) % 2)
    return [ord(a) << 32 | ord(b) for a, b in zip(padded[::2], padded[1::2], strict=True)]


def check_ends(ids, decode, strategy):
    """The contract of `step_ends`, by brute force over all prefixes."""
    ends, steps = step_ends(ids, decode, strategy), split_steps(decode(ids), strategy)
    assert len(ends) == len(steps)
    assert list(ends) == sorted(ends)
    before = ""
    for end, step in zip(ends[:-1], steps, strict=False):
        before += step
        fitting = [k for k in range(len(ids) + 1) if decode(ids[:k]).startswith(before)]
        assert end == fitting[0]
    assert not ends or ends[-1] == len(ids)
    return ends


@given(texts, strategies)
def test_byte_tokens_end_exactly(text, strategy):
    ids = list(text.encode(errors="replace"))
    ends = check_ends(ids, byte_decode, strategy)
    steps = split_steps(byte_decode(ids), strategy)
    for i, end in enumerate(ends):
        assert byte_decode(ids[:end]) == "".join(steps[: i + 1])


@given(st.binary(max_size=60), strategies)
def test_invalid_utf8(raw, strategy):
    check_ends(list(raw), byte_decode, strategy)


@given(texts.filter(lambda text: "\ud800" not in text), strategies)
def test_straddling_tokens_move_to_the_next_edge(text, strategy):
    check_ends(pair_encode(text), pair_decode, strategy)


@given(st.lists(st.sampled_from(["Mia has 3 pens.", "3 + 4 = 7", "é", "\n", "\n\n", " "])), strategies)
@settings(deadline=None, max_examples=50)
def test_a_real_tokenizer(lines, strategy):
    text = "".join(lines)
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    check_ends(ids, TOKENIZER.decode, strategy)


@pytest.fixture(autouse=True, scope="module")
def _tokenizer(tmp_path_factory):
    global TOKENIZER
    TOKENIZER = make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_one_token_may_end_two_steps():
    table = {0: "a", 1: "\nb\nc", 2: "d"}
    decode = lambda ids: "".join(table[i] for i in ids)  # noqa: E731
    assert step_ends([0, 1, 2], decode, "newline") == (2, 2, 3)


def test_few_decodes_for_a_long_chain():
    calls = 0

    def counting(token_ids):
        nonlocal calls
        calls += 1
        return byte_decode(token_ids)

    ids = list(("3 + 4 = 7 and so on\n" * 1000).encode())
    assert len(step_ends(ids, counting, "newline")) == 1000
    assert calls < 20_000
