"""Segmentation: nothing is lost, nothing is moved, and token boundaries follow step boundaries."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import make_tokenizer

from distill.config import ChainSettings
from distill.steps import segment, split_steps, split_tokens, step_ends, strip_step

STRATEGIES = ("newline", "blank_line", "numbered", "sentences", "code_blocks", "statements")
strategies = st.sampled_from(STRATEGIES)
PARTS = [
    "a",
    "3 + 4 = 7",
    "\n",
    "\n\n",
    " ",
    "\r\n",
    "🙂",
    ". ",
    "So",
    "3.5",
    "1. ",
    "(2) ",
    "Step 3:",
    "```",
    "~~~",
    "。",
    "def f(x):",
    "    return (",
    ")",
    "\f",
]
texts = st.one_of(
    st.text(),
    st.text(alphabet="ab \n\t\r\u2028é🙂"),
    st.text(alphabet='aB1. \n`。!"$)'),
    st.lists(st.sampled_from(PARTS)).map("".join),
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


@given(texts, st.sampled_from(["newline", "blank_line"]))
def test_every_step_but_the_last_ends_with_its_separator(text, strategy):
    for step in split_steps(text, strategy)[:-1]:
        assert step.endswith("\n") or step.split("\n")[-1].strip() == ""
        assert step.count("\n") >= {"newline": 1, "blank_line": 2}[strategy]


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.5.| So x = 2.| y is 3",
        "He has 1,000.50 dollars.| Is it all?| Yes!| Good",
        'He said "Stop."| Then he left.| "Is it 5?" she asked.',
        "Mr. Smith and Dr. Jones, e.g. here, i.e. now, see Fig. 2 and Eq. (3).| Done.",
        "The sum is approx. 3 vs. 4.| See no. 5 on p. 7.| No.| It is not.",
        "J. K. Rowling and Mary J. Blige met.| The answer is B.| So be it.",
        "At 5 p.m.| Then pens, paper etc. were sold.| End.",
        "1 + 2 + ... + 9 = 45, 1, 2, ... 9.| Wait...| Then go on.",
        "5! = 120 and 5! is large.| So it is!",
        "$x = 2.$| Then \\(y = 3.\\)| So (see above.)| **Bold.**| End.",
        "1. Add 3 and 4.| 2. Take 2.\n|3. Done.\n|Step 4. Check.| (a) Tell.",
        "One.\n|- two.\n|- three",
        "3 + 4 = 7\n\n|The end.\n\n|Answer: 7\n",
        "A line\nthat goes on.| Next.",
        "他有3.5个。|好！|「行。」|然后",
        "See file.txt and a.b.c at http://x.org/a.b now.",
    ],
)
def test_sentences(text):
    """`|` shows where a step ends; space on the same line belongs to the next step."""
    assert split_steps(text.replace("|", ""), "sentences") == tuple(text.split("|"))


@pytest.mark.parametrize(
    ("begins", "line"),
    [
        *((True, f"{begin} add") for begin in ("1.", "2)", "(3)", "12.", "Step 1:", "step 2.", "STEP 3)")),
        *(
            (True, line)
            for line in ("**Step 1:** add", "### Step 1: add", "**2.** add", "- Step 1: add", "Step 1")
        ),
        *((True, "  1. add"), (True, "Step 1"), (False, "12345. a")),
        *(
            (False, line)
            for line in ("3.5 litres", "2020 was", "Step 6 gave 5", "Steps 1:", "1.5. add", "12345. a")
        ),
        *((False, line) for line in ("    1. add", "x 1. add", "(1)+2", "- add", "1:2 ratio")),
    ],
)
def test_what_begins_a_numbered_step(begins, line):
    expected = ("So:\n", f"{line}\nmore\n") if begins else (f"So:\n{line}\nmore\n",)
    assert split_steps(f"So:\n{line}\nmore\n", "numbered") == expected


@pytest.mark.parametrize(
    "steps",
    [
        ("Intro\n\n", "So:\n", "```python\na = 1\n\nb = 2\n```\n\n", "then\n", "end"),
        ("```x``` in a line\n", "end"),
        ("~~~\n```\n1\n~~~\n", "a\n"),
        ("````\n```\n1\n```\n````\n", "a\n"),
        ("  ```\n  in a list\n  ```\n", "a\n"),
        ("a\n", "```\nnever\n\nclosed\n"),
        ("a\n", "```\n``` not an end\n```\n", "b"),
        ("a\n", "b\n\n"),
    ],
)
def test_code_blocks(steps):
    assert split_steps("".join(steps), "code_blocks") == steps


STATEMENTS = [
    ("Sum.\n", "# sum\n", "def f(xs):\n    s = 0\n", "    for x in xs:\n        s += x\n", "    return s\n"),
    ("def f(\n    x,\n):\n    y = [\n        x,\n    ]\n\n", "    # now\n", "    return y"),
    ("Plan.\n", "```python\n", "import re\n", "@a\ndef f():\n    '''A\n\n    b.'''\n", "```\n", "Done.\n"),
    (
        "def f(x):\n    if x:\n        y = 1\n",
        "    else:\n        y = 2\n",
        "        z = 3\n",
        "    return y\n",
    ),
    (
        "def f(x):\n    try:\n        a()\n",
        "    except E:\n        b()\n",
        "    finally:\n        c()\n",
        "    d()\n",
    ),
    ("def f(x):\n    match x:\n        case 1:\n            a()\n", "        case _:\n            b()\n"),
    ("def f(x):\n", "    y = (x +\n", "    1\n"),
    ("def f(x):\r\n    y = (x +\r\n    1)\r\n", "    return y\r\n"),
    ("x = 3\n", "y = 4"),
]


@pytest.mark.parametrize("steps", STATEMENTS)
def test_statements(steps):
    assert split_steps("".join(steps), "statements") == steps


WRITTEN = {
    "newline": "{step}\n",
    "blank_line": "{step}\n\n",
    "numbered": "{n}. {step}\n",
    "sentences": " Xe{step}.",
    "code_blocks": "```\n{step}\n\n```\n",
    "statements": "# {step}\n",
}


@given(st.lists(st.text(alphabet="xyz =+1").filter(str.strip), min_size=1, max_size=1000), strategies)
@settings(max_examples=25, deadline=None)
def test_chains_of_1_to_1000_steps(lines, strategy):
    steps = tuple(WRITTEN[strategy].format(step=line.strip(), n=n) for n, line in enumerate(lines, 1))
    assert split_steps("".join(steps), strategy) == steps


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "unit", [".", " ", "\n", "\n ", "`", "```\n", "1. ", "a. ", "A. ", '.")', " \n. ", "Step 1"]
)
def test_no_text_takes_more_than_linear_time(strategy, unit):
    small, large = (least_seconds((unit * size)[:size], strategy) for size in (5_000, 40_000))
    assert large < 30 * small + 0.1, "eight times the text; quadratic time would be 64 times"


def least_seconds(text, strategy):
    """CPU time, the least of three: the rest is the machine's."""
    found = []
    for _ in range(3):
        started = time.process_time()
        split_steps(text, strategy)
        found.append(time.process_time() - started)
    return min(found)


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
    steps, ends = segment(ids, decode, ChainSettings(segment=strategy))
    assert steps == split_steps(decode(ids), strategy)
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
    assert step_ends([0, 1, 2], decode, split_steps("a\nb\ncd", "newline")) == (2, 2, 3)


class Counting:
    """A decoder that counts its calls and the tokens that it was given."""

    def __init__(self, decode=byte_decode):
        self.decode, self.calls, self.tokens = decode, 0, 0

    def __call__(self, token_ids):
        self.calls += 1
        self.tokens += len(token_ids)
        return self.decode(token_ids)


LONG = {
    "newline": "3 + 4 = 7 and so on\n",
    "blank_line": "3 + 4 = 7\nand so on\n\n",
    "numbered": "1. So 3 + 4 = 7\nand so on\n",
    "sentences": "So it is 3 + 4 = 7. ",
    "code_blocks": "```\n3 + 4\n\n7\n```\n",
    "statements": "def f(\n    x):\n    return x\n",
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_little_is_decoded_of_a_long_chain(strategy):
    for decode, ids in (
        (Counting(), list((LONG[strategy] * 1000).encode())),
        (Counting(pair_decode), pair_encode(LONG[strategy] * 1000)),
    ):
        steps = split_steps(decode(ids), strategy)
        assert len(step_ends(ids, decode, steps)) == len(steps) >= 1000
        assert decode.calls < 12_000
        assert decode.tokens < 12 * len(ids), "linear: every token is decoded a few times"


def test_a_decoder_that_drops_a_leading_space():
    """As those of SentencePiece do: what follows a boundary is then decoded with all that is before it."""
    words = ["So", " it", " is.", " Then", " 3", " is.", " End", "."]
    decode = lambda ids: "".join(words[i] for i in ids).removeprefix(" ")  # noqa: E731
    assert step_ends(range(8), decode, split_steps("So it is. Then 3 is. End.", "sentences")) == (3, 6, 8)


# ---- steps of a fixed number of tokens


def test_tokens_table():
    steps, ends = split_tokens(list(b"abcdefgh"), byte_decode, 3)
    assert (steps, ends) == (("abc", "def", "gh"), (3, 6, 8))
    assert split_tokens(list(b"abc   \n\n\nd"), byte_decode, 3) == (("abc   \n\n\n", "d"), (9, 10))
    assert split_tokens(list(b"   abc"), byte_decode, 3) == (("   abc",), (6,))
    assert split_tokens([], byte_decode, 3) == ((), ())
    assert split_tokens(list("aé".encode()), byte_decode, 2) == (("a", "é"), (2, 3)), "a cut within é"


@given(texts, st.integers(1, 9))
def test_tokens_give_the_text_back(text, size):
    ids = list(text.encode(errors="replace"))
    check_tokens(ids, byte_decode, size)


@given(st.binary(max_size=60), st.integers(1, 9))
def test_tokens_of_invalid_utf8(raw, size):
    check_tokens(list(raw), byte_decode, size)


@given(st.lists(st.sampled_from(PARTS)), st.integers(1, 9))
@settings(deadline=None, max_examples=50)
def test_tokens_of_a_real_tokenizer(parts, size):
    check_tokens(TOKENIZER.encode("".join(parts), add_special_tokens=False), TOKENIZER.decode, size)


def check_tokens(ids, decode, size):
    steps, ends = split_tokens(ids, decode, size)
    text = decode(ids)
    assert "".join(steps) == text
    assert len(ends) == len(steps)
    assert list(ends) == sorted(set(ends))
    assert all(strip_step(step) for step in steps) or (len(steps) == 1 and not text.strip())
    assert all(end % size == 0 for end in ends[:-1])
    assert not ends or ends[-1] == len(ids)
    for i, end in enumerate(ends):
        assert decode(ids[:end]).startswith("".join(steps[: i + 1]))


def test_1000_steps_of_tokens():
    decode = Counting()
    steps, ends = split_tokens(list(b"abcdefgh" * 1000), decode, 8)
    assert len(steps) == len(ends) == 1000
    assert decode.tokens < 40_000
