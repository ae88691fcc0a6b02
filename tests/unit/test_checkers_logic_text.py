"""The logic checker reads controlled English and formulas, and refuses what it does not surely understand."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.logic.claims import read_claims
from checkers.logic.english import parse_english
from checkers.logic.faults import LogicFault, TooLargeError, UnreadableError
from checkers.logic.formulas import VARIABLE, And, Atom, Formula, Iff, Implies, Not, Or, show
from checkers.logic.lexicon import infinitive, singular, vocabulary
from checkers.logic.notation import parse_notation
from checkers.logic.sentences import parse_statement, split_sentences

SENTENCES = [
    ("Bob is cold.", "cold(bob)"),
    ("Bob isn't cold.", "~cold(bob)"),
    ("bob is not cold", "~cold(bob)"),
    ("It is not true that Bob is cold.", "~cold(bob)"),
    ("The bald eagle likes the cow.", "like(bald_eagle, cow)"),
    ("The bald eagle does not chase Bob.", "~chase(bald_eagle, bob)"),
    ("Bob is cold, kind and not red.", "cold(bob) & kind(bob) & ~red(bob)"),
    ("Bob is cold or Anne likes Bob.", "cold(bob) | like(anne, bob)"),
    ("Wren is a tumpus.", "tumpus(wren)"),
    ("Wren is not a large tumpus.", "~(large(wren) & tumpus(wren))"),
    ("Bob is red and he likes Anne.", "red(bob) & like(bob, anne)"),
    ("Charles likes Anne.", "like(charles, anne)"),
    ("If someone is cold then they are red.", "∀x: cold(x) -> red(x)"),
    ("If something is cold and it likes the cow, it is not red.", "∀x: (cold(x) & like(x, cow)) -> ~red(x)"),
    ("If someone is blue and not furry then they are quiet.", "∀x: (blue(x) & ~furry(x)) -> quiet(x)"),
    (
        "If someone is blue or furry then they do not need the cat.",
        "∀x: (blue(x) | furry(x)) -> ~need(x, cat)",
    ),
    ("If something likes the cow then the cow likes it.", "∀x: like(x, cow) -> like(cow, x)"),
    (
        "If the cow is red and the cow eats the dog then the dog is big.",
        "(red(cow) & eat(cow, dog)) -> big(dog)",
    ),
    ("If a cold wumpus is red then it is kind.", "∀x: (cold(x) & wumpus(x) & red(x)) -> kind(x)"),
    ("Bob is red if Anne is blue.", "blue(anne) -> red(bob)"),
    ("Someone is red if they are blue.", "∀x: blue(x) -> red(x)"),
    ("Bob is red if and only if Anne is blue.", "red(bob) <-> blue(anne)"),
    ("All kind, cold people are rough.", "∀x: (kind(x) & cold(x)) -> rough(x)"),
    ("Young, furry things are not blue.", "∀x: (young(x) & furry(x)) -> ~blue(x)"),
    ("Everyone is nice.", "∀x: nice(x)"),
    ("Every wumpus is a dumpus.", "∀x: wumpus(x) -> dumpus(x)"),
    ("Each tumpus is not angry.", "∀x: tumpus(x) -> ~angry(x)"),
    ("A cat is an animal.", "∀x: cat(x) -> animal(x)"),
    ("Tumpuses are rompuses.", "∀x: tumpus(x) -> rompus(x)"),
    ("Wolves are large animals.", "∀x: wolf(x) -> (large(x) & animal(x))"),
    ("Red cats like the cow and are nice.", "∀x: (red(x) & cat(x)) -> (like(x, cow) & nice(x))"),
    ("No wumpus is a dumpus.", "∀x: wumpus(x) -> ~dumpus(x)"),
]

REFUSED = [
    "",
    "Some people are cold.",
    "Most wumpuses are red.",
    "Two people are cold.",
    "Someone is cold.",
    "If Bob is red then someone is cold.",
    "Someone is cold if Bob is red.",
    "A cow likes the cat.",
    "If someone is red and someone is blue then Bob is cold.",
    "If someone is red then it is cold.",
    "If Bob likes Anne then they are cold.",
    "It is cold.",
    "Bob is very cold.",
    "Bob is always cold.",
    "Bob is either red or blue.",
    "Bob is not red and cold.",
    "Bob is red and blue or cold.",
    "Bob are cold.",
    "They is cold.",
    "Cats likes the cat.",
    "Cats and dogs are red.",
    "All people who are red are cold.",
    "Bob was cold.",
    "Bob can be cold.",
    "Is Bob cold?",
    "Bob likes.",
    "Bob likes someone.",
    "Bob is red unless Anne is blue.",
    "Bob is red only if Anne is blue.",
    "It is not true that all cats are red.",
    "The statement is true.",
    "Bob is c\u043eld.",  # a Cyrillic o
    "Bob is \u202ered.",
    "Bob is red\x00.",
    "If then.",
    "If Bob is red.",
    "and",
    ", , ,",
]


@pytest.mark.parametrize(("text", "meaning"), SENTENCES)
def test_a_sentence_means_its_formula(text: str, meaning: str) -> None:
    assert show(parse_english(text)) == meaning


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_surely_understood_is_refused(text: str) -> None:
    with pytest.raises(LogicFault):
        parse_statement(text, vocabulary([text]))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("A -> ~B & C | D", "A -> ((~B & C) | D)"),
        ("A => B => C", "A -> (B -> C)"),
        ("(A ∧ B) ↔ ¬(C ∨ D)", "(A & B) <-> ~(C | D)"),
        ("if rain and not roof then wet", "(rain & ~roof) -> wet"),
        ("p implies q iff not q implies not p", "(p -> q) <-> (~q -> ~p)"),
        ("Likes(Bob, Anne) && !Cold(bob)", "likes(bob, anne) & ~cold(bob)"),
        ("∀y. Red(y) → Cold(y)", "∀x: red(x) -> cold(x)"),
        ("Rain.", "rain"),
        ("p & P", "p & P"),
    ],
)
def test_a_formula_is_read_with_the_usual_precedence(text: str, meaning: str) -> None:
    assert show(parse_notation(text)) == meaning


@pytest.mark.parametrize("text", ["A ->", "(A", "A B", "A <-> B <-> C", "Red(x)", "->", "A & true", "A @ B"])
def test_a_faulty_formula_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        parse_notation(text)


@pytest.mark.parametrize(
    "text", ["(" * 100 + "A" + ")" * 100, "~" * 100 + "A", "A -> " * 100 + "A", "A & " * 2000]
)
def test_a_formula_beyond_the_limits_is_too_large(text: str) -> None:
    with pytest.raises(TooLargeError):
        parse_notation(text)


def test_endings_follow_the_words_of_the_text() -> None:
    assert singular("wumpuses", frozenset()) == "wumpus"
    assert singular("houses", frozenset({"house"})) == "house"
    assert singular("luminous", frozenset()) == "luminous"
    assert infinitive("chases", frozenset()) == "chase"
    assert infinitive("caches", frozenset({"cache"})) == "cache"
    assert infinitive("carries", frozenset()) == "carry"


def test_sentences_keep_their_numbers() -> None:
    assert split_sentences("1. Bob is red. 2. Red people are cold.\n(3) P -> Q; Q") == [
        "1. Bob is red.",
        "2. Red people are cold.",
        "(3) P -> Q",
        "Q",
    ]


@pytest.mark.parametrize(
    ("step", "sentences", "cited", "label"),
    [
        ("8. From 3 and rule 7: so Bob is cold.", ("Bob is cold.",), ("3", "rule 7"), "8"),
        ("Therefore, we know that Bob is cold (by 2, 3).", ("Bob is cold",), ("2", "3"), ""),
        ("(1), (2) -> Bob is cold", ("Bob is cold",), ("1", "2"), ""),
        ("Bob is cold because Bob is red.", ("Bob is cold", "Bob is red."), (), ""),
        ("Since Bob is red, Bob is cold, so he is big.", ("Bob is red", "Bob is cold", "he is big."), (), ""),
        ("Bob is red. So Bob is cold. [4]", ("Bob is red.", "Bob is cold."), ("4",), ""),
    ],
)  # fmt: skip
def test_a_step_is_parted_into_claims_and_citations(
    step: str, sentences: tuple[str, ...], cited: tuple[str, ...], label: str
) -> None:
    claims = read_claims(step)
    assert sorted(claims.sentences) == sorted(sentences)
    assert (claims.cited, claims.label) == (cited, label)


ATOMS = st.sampled_from(
    [
        Atom("P"),
        Atom("rain"),
        Atom("red", ("bob",)),
        Atom("like", ("bald eagle", "anne")),
        Atom("red", (VARIABLE,)),
    ]
)


def _larger(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        inner.map(Not),
        parts.map(And),
        parts.map(Or),
        st.builds(Implies, inner, inner),
        st.builds(Iff, inner, inner),
    )


FORMULAS: st.SearchStrategy[Formula] = st.recursive(ATOMS, _larger, max_leaves=8)


@given(FORMULAS)
@settings(deadline=None)
def test_a_shown_formula_reads_back(formula: Formula) -> None:
    assert parse_notation(show(formula)) == formula


ADJECTIVES = st.sampled_from(["red", "cold", "kind", "luminous"])
PROPERTIES = st.lists(ADJECTIVES, min_size=1, max_size=3, unique=True)


@given(PROPERTIES, ADJECTIVES, st.booleans(), st.sampled_from(["if", "all", "plural"]))
@settings(deadline=None)
def test_a_rule_reads_back_from_each_of_its_wordings(
    conditions: list[str], conclusion: str, holds: bool, wording: str
) -> None:
    denial = "" if holds else "not "
    text = {
        "if": f"If someone is {' and '.join(conditions)} then they are {denial}{conclusion}.",
        "all": f"All {', '.join(conditions)} people are {denial}{conclusion}.",
        "plural": f"{', '.join(conditions).capitalize()} things are {denial}{conclusion}.",
    }[wording]
    bodies = [Atom(name, (VARIABLE,)) for name in conditions]
    said = Atom(conclusion, (VARIABLE,))
    expected = Implies(bodies[0] if len(bodies) == 1 else And(tuple(bodies)), said if holds else Not(said))
    assert parse_english(text) == expected


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(LogicFault):
        parse_statement(text, vocabulary([text]))
    read_claims(text)
