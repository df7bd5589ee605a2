"""Rows of delimited files: the delimiter is found, lines are counted, and nothing is read without end."""

import pytest

from miabench.errors import UserError
from miabench.files import delimited
from miabench.files.csv_rows import csv_rows
from miabench.files.delimited import delimited_rows, find_delimiter


def rows(path):
    with delimited_rows(path) as found:
        return list(found)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2\n", ";"),
        ("a;b\n1,5;2,5\n", ";"),
        ("a\tb\n1,2\t3,4\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ("label,text\nx,one; two\ny,three\n", ","),
        ('label,text\nx,"one; two; three"\n', ","),
        ("label;text\nx;one, two, three\n", ";"),
        ("label\nx\n", ","),
        ("", ","),
        ("a,b;c,d\n1,2;3,4\n", ","),
        ('"a;b";c\n"1;2";3\n', ";"),
        ('a;b\n"two\nlines";1\n"not closed', ";"),
        ("a,b\n1,2\n1,2,3\n", ","),
        ("one;two;three,label\n1,x\n2,y\n", ","),
    ],
)
def test_the_delimiter_is_found(text, delimiter):
    assert find_delimiter(text.splitlines(keepends=True)) == delimiter


def test_rows_have_their_last_line_and_blank_ones_are_left_out(tmp_path):
    (tmp_path / "file").write_text('a;b\n\n"two\nlines";1\nx; y\n')
    assert rows(tmp_path / "file") == [(["a", "b"], 1), (["two\nlines", "1"], 4), (["x", "y"], 5)]


def test_a_cell_longer_than_pythons_own_limit(tmp_path):
    (tmp_path / "file").write_text("a,b\n" + "x" * 200_000 + ",1\n")
    assert len(rows(tmp_path / "file")[1].cells[0]) == 200_000


def test_excels_hint_of_the_delimiter_is_no_row(tmp_path):
    (tmp_path / "file").write_text("sep=;\r\na;b\r\n1;2\r\n")
    assert rows(tmp_path / "file") == [(["a", "b"], 2), (["1", "2"], 3)]


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("MOST_COLUMNS", r"file, line 1: 4 cells; at most 3, use an npz file"),
        ("MOST_ROWS", r"file has more than 3 rows or 200,000,000 cells; use an npz file, or fewer rows"),
        ("MOST_CELLS", r"file has more than 10,000,000 rows or 3 cells"),
    ],
)
def test_more_than_can_be_kept(tmp_path, monkeypatch, limit, message):
    (tmp_path / "file").write_text("a,b,c,d\n" * 4)
    monkeypatch.setattr(delimited, limit, 3)
    with pytest.raises(UserError, match=message):
        rows(tmp_path / "file")


def test_a_column_that_is_not_among_very_many(tmp_path):
    """The message names a few of them, and none of its bytes moves a cursor."""
    names = [f"c{i}" for i in range(50_000)]
    (tmp_path / "file").write_text(",".join(["\x1b[2J", *names]) + "\n")
    with pytest.raises(UserError) as caught:
        csv_rows(tmp_path / "file", ["label"], header=True)
    (message,) = caught.value.problems
    assert len(message) < 1000
    assert message.endswith("and 49,961 more")
    assert message.isprintable()
    assert r"\x1b[2J" in message
