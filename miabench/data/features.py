"""Columns of text turned into features: numbers standardised, categories one-hot, missing values marked.

Everything a feature is made with (mean, standard deviation, median, the list of categories) comes from all records,
members or not, so that it carries no membership. Numbers are centred and scaled in float64 and become float32 last: a
time stamp in milliseconds would lose everything below two minutes in float32. Inputs of zeros and ones stay as they
are: divided by its standard deviation, a rare category would outweigh all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from miabench.data.cells import (
    NUMBER,
    STYLES,
    WHOLE,
    ZERO_PADDED,
    Style,
    and_more,
    is_missing,
    is_number,
    number,
    shown,
    sorted_labels,
)
from miabench.data.doubts import NAMELESS, doubts_about, doubts_about_texts, row_numbers, unit_of
from miabench.data.normalisation import standardised
from miabench.files.columns import Column

MOST_CATEGORIES = 100  # of a column; more would be names, texts or dates
LARGEST = np.float64(1e150)  # its square is still a float64

LEFT_OUT = "left out"
CATEGORIES = "categories (an input each)"
MISSING_NUMBERS = "missing, set to the median and marked by an input"
MISSING_CATEGORIES = "missing, an input of their own"
MISSING_OR_NOT = "missing or one value, an input says which"
COMMAS = "read with decimal commas"
THOUSANDS = "read with thousands separators"
TIMES = "times, as numbers since 1970"


@dataclass
class Encoded:
    """What one column became.

    Attributes:
        inputs: (N, k), float32; k is 0 for a column that is left out.
        done: what was done to it, by kind.
        doubt: why it may be no feature, or empty.
        problem: what is wrong with it, naming it, or empty; it then has no inputs.
    """

    inputs: NDArray[np.float32]
    done: Mapping[str, str] = field(default_factory=dict)
    doubt: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Text:
    """A column with the values it holds.

    Attributes:
        values: what occurs, in order of first appearance, but for what says that there is none.
        codes: of each record (N,) the position in `values`, or -1 where its value is missing.
        places: each record in words.
    """

    column: Column
    values: Sequence[str]
    codes: NDArray[np.int64]
    places: Sequence[str]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which records have no value (N,)."""
        return self.codes < 0

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each value occurs."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    def refused(self, problem: str) -> Encoded:
        """No inputs, but what is wrong with the column."""
        return Encoded(self.nothing, problem=f"column {shown(self.column.name)}: {problem}")

    def refused_at(self, wrong: NDArray[np.bool_], remedy: str = "") -> Encoded:
        """As `refused`, for some values (bool, one for each) that are no numbers; the first record is named."""
        rows = np.flatnonzero(np.where(self.missing, False, wrong[self.codes]))
        what = f"{shown(self.column.cells[rows[0]])} where a finite number is expected{and_more(len(rows))}"
        encoded = self.refused(f"{what}{remedy}")
        encoded.problem = f"{self.places[rows[0]]}, {encoded.problem}"
        return encoded

    @property
    def nothing(self) -> NDArray[np.float32]:
        """No inputs, for each record."""
        return np.empty((len(self.codes), 0), np.float32)


def encoded(columns: Sequence[Column], places: Sequence[str], categorical: Sequence[str]) -> list[Encoded]:
    """What each column becomes.

    Args:
        columns: of N cells each.
        places: each record in words, for messages.
        categorical: names of columns whose numbers are categories.
    """
    texts = [_text(column, places) for column in columns]
    styles = [() if text.column.name in categorical else _styles(text.values) for text in texts]
    evidence = {style for found in styles if len(found) == 1 for style in found}
    return [
        _encoded(text, found, evidence, text.column.name in categorical)
        for text, found in zip(texts, styles, strict=True)
    ]


def _encoded(text: Text, styles: Sequence[Style], evidence: set[Style], categorical: bool) -> Encoded:
    if text.column.problem:
        return text.refused(f"{text.column.problem}; leave the column out: {_setting('drop', text)}")
    return _numbers(text, styles, evidence) if styles else _categories(text, categorical)


def _text(column: Column, places: Sequence[str]) -> Text:
    values = [value for value in dict.fromkeys(column.cells) if not is_missing(value)]
    known = {value: code for code, value in enumerate(values)}
    codes = np.fromiter(map(known.get, column.cells, repeat(-1)), np.int64, len(column.cells))
    return Text(column, values, codes, places)


def _styles(values: Sequence[str]) -> Sequence[Style]:
    """The ways in which all values are numbers: none for text and for zero-padded numbers, which are names.

    Where two ways give the same numbers, the first stands for both.
    """
    if any(map(ZERO_PADDED.fullmatch, values)):
        return ()
    found = [style for style in STYLES if all(is_number(value, style) for value in values)]
    same = len(found) == 2 and all(number(value, found[0]) == number(value, found[1]) for value in values)
    return ("point", "point") if same else found


def _numbers(text: Text, styles: Sequence[Style], evidence: set[Style]) -> Encoded:
    style = styles[0]
    if len(set(styles)) == 2 and evidence:
        if len(evidence) == 2:
            value = shown(text.values[0])
            return text.refused(f"{value} has a comma or a point that may stand for thousands or for decimals")
        (style,) = evidence
    values = np.array([number(value, style) for value in text.values])
    if (large := np.abs(values) > LARGEST).any():
        return text.refused_at(large)
    if len(values) < 2:
        return _one_value(text)
    x = np.where(text.missing, np.median(values[text.codes[~text.missing]]), values[text.codes])
    if not text.missing.any() and row_numbers(x, text.column.named):
        return Encoded(text.nothing, {LEFT_OUT: "row numbers"})
    inputs = standardised(x[:, None])
    done = _written(text.values, style) | ({TIMES: ""} if text.column.times else {})
    if text.missing.any():
        done |= {MISSING_NUMBERS: f"{text.missing.sum():,}"}
        inputs = np.column_stack([inputs, text.missing.astype(np.float32)])
    doubts = [*([] if text.column.named else [NAMELESS]), *doubts_about(x, inputs[:, 0]), *_merged(text.values, values)]
    return Encoded(inputs, done, "; ".join(doubts))


def _one_value(text: Text) -> Encoded:
    """A column with one value at most: what it may tell is where that value is."""
    if text.values and text.missing.any():
        return Encoded(text.missing[:, None].astype(np.float32), {MISSING_OR_NOT: f"{text.missing.sum():,}"})
    return Encoded(text.nothing, {LEFT_OUT: "always the same" if text.values else "always missing"})


def _written(values: Sequence[str], style: Style) -> dict[str, str]:
    """How numbers are written, where that is not with decimal points alone."""
    if style == "comma":
        return {COMMAS: ""}
    return {} if all(map(NUMBER.fullmatch, values)) else {THOUSANDS: ""}


def _merged(texts: Sequence[str], values: NDArray[np.float64]) -> Iterator[str]:
    """Whole numbers above 2^53, of which float64 does not hold every one."""
    if np.abs(values).max() < 2**53:
        return
    different = len(np.unique(values))
    if different < len({int(text) for text in texts if WHOLE.fullmatch(text)}):
        yield f"{len(texts):,} different numbers become {different:,}: too many digits; an identifier?"


def _categories(text: Text, forced: bool) -> Encoded:
    if not forced and (wrong := _beside_numbers(text)).any():
        return text.refused_at(wrong, f"; if it is a category: {_setting('categorical', text)}")
    if len(text.values) > MOST_CATEGORIES:
        unit = unit_of(text.values)
        remedy = f"write these numbers without {unit}" if unit else "put them into groups"
        return text.refused(
            f"{len(text.values):,} different texts ({', '.join(map(shown, text.values[:3]))}, ...); "
            f"at most {MOST_CATEGORIES} categories: {remedy}, "
            f"or leave the column out: {_setting('drop', text)}"
        )
    if len(text.values) < 2:
        return _one_value(text)
    order = {value: i for i, value in enumerate(sorted_labels(text.values))}
    rank = np.array([order[value] for value in text.values])
    inputs = np.zeros((len(text.codes), len(order) + int(text.missing.any())), np.float32)
    inputs[np.arange(len(inputs)), np.where(text.missing, len(order), rank[text.codes])] = 1
    done = {CATEGORIES: f"{len(order)}"}
    if text.missing.any():
        done |= {MISSING_CATEGORIES: f"{text.missing.sum():,}"}
    return Encoded(
        inputs, done, "; ".join([*([] if text.column.named else [NAMELESS]), *doubts_about_texts(text.values)])
    )


def _beside_numbers(text: Text) -> NDArray[np.bool_]:
    """Which values are no numbers, where most records have one, or nearly: such a column is no list of categories."""
    wrong = np.array([not any(is_number(value, style) for style in STYLES) for value in text.values], dtype=bool)
    nearly = np.array([_only_in_python(value) for value in text.values], dtype=bool)
    few = 2 * text.counts[~wrong | nearly].sum() < text.counts.sum()
    return np.zeros_like(wrong) if few or any(map(ZERO_PADDED.fullmatch, text.values)) else wrong


def _setting(name: str, text: Text) -> str:
    return f'{name} = ["{text.column.name}"]'


def _only_in_python(value: str) -> bool:
    """Whether Python takes a text for a number that is none in a table: 1_0, other scripts' digits, infinity."""
    try:
        float(value)
    except ValueError:
        return False
    return not NUMBER.fullmatch(value)
