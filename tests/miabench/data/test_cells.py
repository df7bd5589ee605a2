"""One definition of a number and of nothing, and messages that quote strangers."""

import pytest

from miabench.data.cells import is_missing, is_number, listed, number, shown, sorted_labels


@pytest.mark.parametrize("cell", ["0", "-1", "+2.5", ".5", "5.", "1e5", "-1.5E-3", "007"])
def test_numbers(cell):
    assert is_number(cell)
    assert number(cell) == float(cell)


@pytest.mark.parametrize(
    "cell", ["", "1_0", "٣", "inf", "nan", "0x1f", "1 2", "1,23", "1,2345", "e5", ".", "1e", "½", "²"]
)
def test_no_numbers(cell):
    assert not is_number(cell)


@pytest.mark.parametrize(
    ("cell", "style", "value"),
    [
        ("1,234", "point", 1234),
        ("1,234.5", "point", 1234.5),
        ("-12,345,678", "point", -12345678),
        ("1 234.5", "point", 1234.5),
        ("1\u202f234", "comma", 1234),
        ("1.234,5", "comma", 1234.5),
        ("0,5", "comma", 0.5),
        ("1'234,5", "comma", 1234.5),
        ("2,5e3", "comma", 2500),
    ],
)
def test_numbers_of_two_styles(cell, style, value):
    assert is_number(cell, style)
    assert number(cell, style) == value


@pytest.mark.parametrize(
    ("cell", "style"),
    [("0,123.5", "point"), ("12,34.5", "point"), ("1.234.5", "comma"), ("1,5", "point"), ("1.5", "comma")],
)
def test_separators_stand_where_they_belong(cell, style):
    assert not is_number(cell, style)


def test_missing():
    assert all(map(is_missing, ["", " ", "NA", "n/a", "NaN", "NULL", "none", "?", "-", "<NA>", "#N/A", "n.a.", "NaT"]))
    assert not any(map(is_missing, ["0", "no", "nah", "x", "--x"]))


def test_labels_are_sorted_as_numbers_where_all_are():
    assert sorted_labels(["10", "9", "1e1"]) == ["9", "10", "1e1"]
    assert sorted_labels(["10", "9", "1_0"]) == ["10", "1_0", "9"]


def test_what_is_shown_is_short_and_harmless():
    assert shown("  ") == "an empty cell"
    assert shown("a\x1b[2J") == r"'a\x1b[2J'"
    assert len(shown("x" * 10**6)) < 60
    assert len(listed(["x" * 10**6] * 10**5)) < 3000
    assert listed([str(i) for i in range(1000)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 992 more"
    assert listed(["\x1b[2J"]) == r"\x1b[2J"
