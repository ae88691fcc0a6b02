"""Text before it is read: lookalike characters, invisible marks, LaTeX noise, wrappers.

Every function is linear in its input.
"""

import re
import unicodedata

_SUPERSCRIPTS = {ord(sign): digit for sign, digit in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")}
_SUPERSCRIPT_RUN = re.compile(f"[{''.join(map(chr, _SUPERSCRIPTS))}]+")
_VULGAR_FRACTION = re.compile("[¼-¾⅐-⅞]")
_LOOKALIKES = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "×": "×", "✕": "×", "✖": "×",
        "·": "⋅", "•": "⋅", "∙": "⋅", "∕": "/", "⁄": "/", "º": "°", "˚": "°", "\u00a0": " ",
        "\u2009": " ", "\u202f": " ", "’": "'", "＝": "=", "﹦": "=",
    }
)  # fmt: skip


def plain_characters(text: str) -> str:
    """`text` with lookalikes replaced: full-width digits, minus signs, `x²` as `x^{2}`, `½` as ` 1/2`.

    Control and format characters (null bytes, right-to-left marks, zero-width joiners) are dropped.
    """
    if not _SPECIAL.search(text):
        return text
    text = _SUPERSCRIPT_RUN.sub(lambda m: "^{" + m.group().translate(_SUPERSCRIPTS) + "}", text)
    text = _VULGAR_FRACTION.sub(lambda m: " " + unicodedata.normalize("NFKC", m.group()), text)
    return _SPECIAL.sub(lambda m: _plain_character(m.group()), text.translate(_LOOKALIKES))


_SPECIAL = re.compile(r"[^\n\t -~]")


def _plain_character(character: str) -> str:
    """Decimal digits of any script become ASCII ones, marks vanish, ordinary letters stay."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in ("Cf", "Cc", "Cs"):
        return ""
    return unicodedata.normalize("NFKC", character) if category in ("Zs", "Ll", "Lu", "Po") else character


_WRAPPERS = re.compile(
    r"\\(?:boldsymbol|pmb|bm)(?![a-z])|\\left(?![a-z])|\\right(?![a-z])|\\displaystyle|(?<!\\)\\[!()\[\]]|\$\$"
)
_SPACES = re.compile(r"(?<!\\)\\[,;: ]|\\quad|~|\s+")
_GROUP_COMMA = re.compile(r"\{,\}|,\\! ?")
_FRACTION_ALIASES = re.compile(r"\\[dtc]frac(?![a-z])")
_LONE_DOLLAR = re.compile(r"(?<!\\)\$(?![0-9.])|(?<=[0-9A-Za-z)}])\$")


_PAIR_OF_DOLLARS = re.compile(r"(?<!\\)\$(?! )([^$]*[^ $\\])\$(?![0-9])")
_EMPTY_SET = re.compile(r"\\varnothing(?![a-z])|∅|\\\{ ?\\\}")


def tidy(text: str) -> str:
    """`text` of one answer without wrappers, LaTeX spacing, markdown stars and a final full stop."""
    text = plain_characters(text).strip().strip("*_`").strip()
    text = _GROUP_COMMA.sub(",", text)
    text = _WRAPPERS.sub("", text)
    text = _FRACTION_ALIASES.sub(r"\\frac", text)
    text = _ORDINAL.sub("", text) if "t" in text or "d" in text else text
    text = _EMPTY_SET.sub(r"\\emptyset", text)
    text = _without_math_mode(text)
    text = _SPACES.sub(" ", text).strip()
    return text.rstrip(".;,:").strip() if text[-1:] in ".;,:" else text


_ORDINAL = re.compile(
    r"(?<=[0-9])(?:\^ ?\{? ?\\(?:text|mathrm|mbox) ?\{ ?(?:st|nd|rd|th) ?\} ?\}?"
    r"|\^ ?\{ ?(?:st|nd|rd|th) ?\}|(?:st|nd|rd|th)\b)"
)


def _without_math_mode(text: str) -> str:
    """Dollars that delimit mathematics go; a dollar before a digit is money and stays."""
    text = _PAIR_OF_DOLLARS.sub(r"\1", text) if text.count("$") > 2 else text  # `$3$ and $4$`
    stripped = text.strip()
    if len(stripped) > 2 and stripped[0] == "$" == stripped[-1] and not stripped.endswith("\\$"):
        text = stripped[1:-1]
    return _LONE_DOLLAR.sub("", text)


_SPACE_AT_SIGN = re.compile(r" ?([^0-9A-Za-z ]) ?")
_BRACED_SINGLE = re.compile(r"([_^])\{([0-9A-Za-z])\}")


def canonical(text: str) -> str:
    """`text`, tidied, with spacing that carries no meaning removed: equal strings are equal answers."""
    return _BRACED_SINGLE.sub(r"\1\2", _SPACE_AT_SIGN.sub(r"\1", tidy(text)))
