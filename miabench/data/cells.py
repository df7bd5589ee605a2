"""What a cell of a table says: nothing, a number, or text; one definition for features and labels of all datasets.

A number has decimal digits 0 to 9, a sign, a point and an exponent, and nothing that only Python accepts (`1_0`, other
scripts' digits, `inf`). A column of a table may instead have decimal commas, or separators between thousands.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from miabench.errors import harmless

MISSING = frozenset(
    {"", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "null", "none", "?", "-", "–", "—", ".", r"\n"}
)
LONG = 20  # characters with which a cell says something
SHOWN = 40  # characters of a cell in a message
LONGEST = 200  # characters of a name in a list
NAMED = 8  # names in a list before "and 12 more"

Style: TypeAlias = Literal["point", "comma"]

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"[+-]?[0-9]+")
ZERO_PADDED = re.compile(r"[+-]?0[0-9]+")  # an article number, a postal code: another name than without the zero
SPACES = " '’\u00a0\u202f"  # between thousands, beside the comma or the point
STYLES: Mapping[Style, re.Pattern[str]] = {
    "point": re.compile(rf"{NUMBER.pattern}|[+-]?[1-9][0-9]{{0,2}}((,[0-9]{{3}})+|([{SPACES}][0-9]{{3}})+)(\.[0-9]+)?"),
    "comma": re.compile(
        r"[+-]?([0-9]+,?[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?"
        rf"|[+-]?[1-9][0-9]{{0,2}}((\.[0-9]{{3}})+|([{SPACES}][0-9]{{3}})+)(,[0-9]+)?"
    ),
}
_SEPARATORS: Mapping[Style, dict[int, str | None]] = {
    "point": dict.fromkeys(map(ord, SPACES + ",")),
    "comma": {**dict.fromkeys(map(ord, SPACES + ".")), ord(","): "."},
}


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value, in one of the spellings of R, SQL, Excel, Weka and pandas."""
    return len(cell) < LONG and cell.strip().lower() in MISSING


def is_number(cell: str, style: Style = "point") -> bool:
    """Whether a cell is a number, with decimal points or decimal commas; thousands may be separated."""
    return STYLES[style].fullmatch(cell) is not None


def number(cell: str, style: Style = "point") -> float:
    """The value of a cell that is a number; infinite where it is too large."""
    return float(cell if NUMBER.fullmatch(cell) and style == "point" else cell.translate(_SEPARATORS[style]))


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """Labels in order: as numbers where all of them are, so that 10 comes after 9, else as text."""
    labels = list(labels)
    if all(map(NUMBER.fullmatch, labels)):
        return sorted(labels, key=lambda label: (float(label), label))
    return sorted(labels)


def shown(cell: str) -> str:
    """A cell as messages show it: short, and without control characters."""
    if not cell.strip():
        return "an empty cell"
    return repr(cell if len(cell) <= SHOWN else f"{cell[:SHOWN]}...")


def same_letters(names: Sequence[str]) -> list[str]:
    """Of some texts, those that differ from another in capitals, white space or the encoding of letters alone."""
    plain = [" ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in names]
    counts = Counter(plain)
    return [name for name, letters in zip(names, plain, strict=True) if counts[letters] > 1]


def listed(names: Sequence[str]) -> str:
    """Names one after the other, the first few of many."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(harmless(name, LONGEST) for name in names[:NAMED]) + more


def and_more(count: int) -> str:
    """What follows the first row of `count` that have one problem."""
    return f" (and in {count - 1:,} more row{'s' if count > 2 else ''})" if count > 1 else ""
