"""Words: which carry content, and the one form that stands for a word's singular, plural and verb endings.

There is no dictionary. `wumpuses` is put to `wumpus` because the text says `wumpus` somewhere, or else by
the regular endings; so one reading of a word holds for all sentences that are read together.
"""

import re
from collections.abc import Iterable

from checkers.words import words

_WORD = re.compile(r"[a-zß-ɏ][a-z0-9ß-ɏ_'-]*")  # Latin letters only: no lookalikes

VARIABLES = words("someone something somebody anyone anything anybody")
UNIVERSALS = words("everyone everything everybody")
GENERIC = words("people things person thing persons individuals individual")
PRONOUNS = words("it they he she")
OBJECT_PRONOUNS = words("it them him her")
DETERMINERS = words("all every each any no")

# Words that would make a sentence mean something else than its other words do: it is not read.
_REFUSED = words("""
    a an the is are was were be been being am do does did has have had will would shall should can could may
    might must not no nor neither never ever always often sometimes usually rarely seldom probably possibly
    perhaps maybe likely and or but xor either both if then else unless only when whenever where while because
    since although though so therefore thus hence
    that which who whom whose what how why this these those there
    here some many most few several none all every each any another other others one two three four five
    than as of in on at by for from to with without about into over under very quite too also just still yet
    already even almost nearly exactly i you he she it we they me him her us them my your his its our their
    himself herself itself themselves someone something somebody anyone anything anybody everyone everything
    everybody nobody nothing noone such same different let assume suppose given say says said means
    true false unknown uncertain statement conclusion premise premises answer rule rules fact
    facts step contradiction known called former fake alleged supposed
    pretend imitation counterfeit purported mock
""")
_NOUNS = {"men": "man", "women": "woman", "people": "person", "children": "child", "mice": "mouse",
          "geese": "goose", "feet": "foot", "teeth": "tooth", "wolves": "wolf", "sheep": "sheep",
          "fish": "fish", "oxen": "ox"}  # fmt: skip
_NOT_PLURAL = ("ss", "us", "is")
_SIBILANTS = ("ses", "xes", "zes", "ches", "shes", "oes")
_PLAIN_ENDINGS = ("rses", "nses", "ases", "ises")  # horse, sense, chase, raise


def is_content(word: str) -> bool:
    """Whether `word` (in lower case) may name an individual, a property, a kind or a relation."""
    return bool(_WORD.fullmatch(word)) and word not in _REFUSED


def vocabulary(texts: Iterable[str]) -> frozenset[str]:
    """Every word of `texts`, in lower case."""
    return frozenset(word for text in texts for word in _WORD.findall(text.lower()))


def is_plural(word: str) -> bool:
    """Whether `word` has the form of a plural noun."""
    return word in _NOUNS or word in GENERIC or (word.endswith("s") and not word.endswith(_NOT_PLURAL))


def singular(word: str, known: frozenset[str]) -> str:
    """The singular of a plural noun; any other word as it is.

    singular("wumpuses", frozenset())  # "wumpus"
    """
    if word in _NOUNS or not is_plural(word):
        return _NOUNS.get(word, word)
    return _without_ending(word, known)


def infinitive(word: str, known: frozenset[str]) -> str:
    """A verb as it stands after `they`, from its form after `it`.

    infinitive("chases", frozenset())  # "chase"
    """
    return {"has": "have", "does": "do"}.get(word) or _without_ending(word, known)


def _without_ending(word: str, known: frozenset[str]) -> str:
    """The regular stem, unless the text itself uses another one and not that."""
    stems = [word[:-1]]
    if word.endswith(_SIBILANTS) and not word.endswith(_PLAIN_ENDINGS):
        stems.insert(0, word[:-2])
    elif word.endswith("es"):
        stems.append(word[:-2])
    if word.endswith("ies") and len(word) > 4:
        stems.insert(0, word[:-3] + "y")
    return next((stem for stem in stems if stem in known), stems[0])
