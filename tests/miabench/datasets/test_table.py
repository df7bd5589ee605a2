"""Tables: inputs and classes are what the file says; what was done is told; every bad cell has a message."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pytest
import torch

from miabench.datasets.table import Table
from miabench.errors import UserError

CSV = "a, kind ,b\n1,cat,0.5\n2,dog,-1e3\n\n3,cat,0.5\n"


@pytest.fixture
def load(tmp_path):
    """Load the text of a CSV or the arrays of an npz."""

    def load(content, name=None, **arguments):
        path = tmp_path / (name or ("pool.csv" if isinstance(content, (str, bytes)) else "pool.npz"))
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, **content)
        return Table(path=path, **arguments).load(tmp_path)

    return load


def npz(**changed):
    return {"x": np.arange(6.0).reshape(3, 2), "y": np.array([7, 5, 7]), **changed}


def standardised(*columns):
    x = np.array(columns, dtype=np.float64).T
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def close(x, expected):
    np.testing.assert_allclose(x.numpy(), expected, rtol=3e-7, atol=3e-7)


def text(*columns, header, between=","):
    """A CSV of columns, the label last."""
    return "\n".join([header, *(between.join(map(str, row)) for row in zip(*columns, strict=True))]) + "\n"


RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=40).round(4).tolist()
LABELS = ["x", "y"] * 20


def test_csv(load):
    data = load(CSV, label="kind")
    close(data.x, standardised([1, 2, 3], [0.5, -1000, 0.5]))
    assert data.x.dtype == torch.float32
    assert data.y.tolist() == [0, 1, 0]
    assert data.y.dtype == torch.int64
    assert data.class_names == ("cat", "dog")
    assert [place.split("pool.csv, ")[1] for place in data.where] == ["line 2", "line 3", "line 5"]
    assert data.notes == ("2 inputs from 2 of 2 columns",)


def test_npz(load):
    data = load(npz())
    close(data.x, standardised([0, 2, 4], [1, 3, 5]))
    assert data.x.dtype == torch.float32
    assert data.y.tolist() == [1, 0, 1]
    assert data.class_names == ("5", "7")
    assert data.where[2].endswith("pool.npz, row 2")


def test_label_column_is_label_unless_named(load):
    data = load("x,label\n1,b\n2,a\n")
    assert data.x.tolist() == [[-1], [1]]
    assert data.class_names == ("a", "b")
    assert load({"x": np.eye(2), "kind": np.array(["u", "t"])}, label="kind").class_names == ("t", "u")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10.5", "9", "1e1"], ("9", "1e1", "10.5")),
        (["b10", "b9", "a"], ("a", "b10", "b9")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1", "inf", "2"], ("1", "2", "inf")),
        (["1_1", "11", "2"], ("11", "1_1", "2")),
        (["00501", "501", "1"], ("1", "00501", "501")),
        (["1", "1.0", "2"], ("1", "1.0", "2")),
    ],
)
def test_classes_are_sorted_and_none_is_changed_or_merged(load, labels, names):
    data = load("label,x\n" + "".join(f"{label},{i}\n" for i, label in enumerate(labels)))
    assert data.class_names == names
    assert [data.class_names[label] for label in data.y] == labels


def test_classes_that_are_one_number_are_told(load):
    notes = load("label,x\n00501,1\n501,2\n2,3\n").notes
    assert notes[-1] == "classes that differ only in how a number is written are kept apart: 00501, 501"


def test_normalised_over_the_pool_and_constant_features_of_an_npz_are_zero(load):
    x = np.random.default_rng(0).normal(5, 3, (50, 3))
    x[:, 1] = 0.1
    data = load({"x": x, "y": np.arange(50) % 2})
    inputs = data.inputs(torch.arange(50), torch.device("cpu")).numpy()
    expected = (x - x.mean(0)) / np.where([False, True, False], 1, x.std(0))
    np.testing.assert_allclose(inputs, expected, rtol=3e-7, atol=3e-7)
    assert (inputs[:, 1] == 0).all()


@pytest.mark.parametrize("form", ["csv", "npz"])
def test_a_shift_changes_nothing(load, form):
    """Time stamps in milliseconds: float32 would keep one value of all of them."""
    seconds = RNG.permutation(40_000)[:40]
    made = {}
    for start in (0, 1_700_000_000_000):
        times = start + seconds
        content = text(times, LABELS, header="ms,label") if form == "csv" else {"x": times[:, None], "y": LABELS}
        made[start] = load(content).x
    assert made[0].equal(made[1_700_000_000_000])
    close(made[0], standardised(seconds))


def test_byte_order_mark_quotes_and_line_ends(load):
    data = load('﻿"label", "x"\r\n"a, b", 1\r\nc, "2"\r\n'.encode())
    assert data.class_names == ("a, b", "c")
    assert data.x.tolist() == [[-1], [1]]


def test_quoted_newlines(load):
    data = load('label,x\n"two\nlines",1\nb,2\n')
    assert data.class_names == ("b", "two\nlines")
    assert data.where[1].endswith("line 4")


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("pool.csv", content)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
@pytest.mark.parametrize("name", ["pool.csv", "pool", "pool.npz"])
def test_what_a_file_is_is_told_from_its_content(load, pack, name):
    assert load(pack(CSV.encode()), name, label="kind").x.equal(load(CSV, label="kind").x)


def test_an_npz_by_another_name(load, tmp_path):
    expected = load(npz())
    for name in ("POOL.NPZ", "pool"):
        (tmp_path / name).write_bytes((tmp_path / "pool.npz").read_bytes())
        assert Table(path=tmp_path / name).load(tmp_path).x.equal(expected.x)


@pytest.mark.parametrize("between", [",", ";", "\t", "|"])
def test_delimiters(load, between):
    data = load(text(NOISE, NOISE[::-1], LABELS, header=between.join("ab") + f"{between}label", between=between))
    close(data.x, standardised(NOISE, NOISE[::-1]))


def test_decimal_commas(load):
    numbers = [str(value).replace(".", ",") for value in NOISE]
    data = load(text(numbers, numbers, LABELS, header="a;b;label", between=";"))
    close(data.x, standardised(NOISE, NOISE))
    assert data.notes == ("2 inputs from 2 of 2 columns; read with decimal commas: a, b",)


@pytest.mark.parametrize(
    ("written", "style"),
    [
        ("{:,.2f}", "thousands separators"),
        ("'{:,.2f}", "thousands separators"),
        (" {:,.2f}", "thousands separators"),
        (".{:,.2f},", "decimal commas"),
    ],
)
def test_thousands_separators(load, written, style):
    """1,234.50 and 1'234.50 and 1 234.50 and 1.234,50 are one number."""
    values = [1234.5, 999.25, 1234567.0, 12.5]
    separator, template = (written[0], written[1:]) if written[0] != "{" else (",", written)
    cells = [template.format(v) for v in values]
    if template.endswith(","):
        cells = [cell[:-1].replace(".", "#").replace(",", ".").replace("#", ",") for cell in cells]
    else:
        cells = [cell.replace(",", separator) for cell in cells]
    data = load("a;label\n" + "".join(f"{cell};{'xy'[i % 2]}\n" for i, cell in enumerate(cells)))
    close(data.x, standardised(values))
    assert data.notes == (f"1 inputs from 1 of 1 columns; read with {style}: a",)


def test_three_digits_after_a_sign_are_read_as_the_rest_of_the_file_writes_numbers(load):
    """1.234 is 1234 where 0,5 is a half."""
    data = load("a;b;label\n1.234;0,5;x\n12;1,5;y\n9.000;7;x\n")
    close(data.x, standardised([1234, 12, 9000], [0.5, 1.5, 7]))
    data = load("a;b;label\n1,234;0.5;x\n12;1.5;y\n9,000;7;x\n")
    close(data.x, standardised([1234, 12, 9000], [0.5, 1.5, 7]))
    data = load("a;b;label\n1.234;0.5;x\n12;1.5;y\n9.000;7;x\n")
    close(data.x, standardised([1.234, 12, 9], [0.5, 1.5, 7]))
    with pytest.raises(UserError, match=r"column 'a': '1.234' has a comma or a point that may stand for thousands or"):
        load("a;b;c;label\n1.234;0,5;0.5;x\n12;1,5;1.5;y\n9.000;7;7;x\n")


def test_categories_and_gaps(load):
    """A categorical column has an input for each category; a missing value has one of its own."""
    data = load("sex,age,label\nm,10,x\nf,20,y\nNA,?,x\nm,60,y\n")
    age = standardised([10, 20, 20, 60])[:, 0]
    expected = [[0, 1, 0, age[0], 0], [1, 0, 0, age[1], 0], [0, 0, 1, age[2], 1], [0, 1, 0, age[3], 0]]
    close(data.x, expected)
    assert data.notes == (
        "5 inputs from 2 of 2 columns; categories (an input each): sex (2); missing, an input of their own: sex (1); "
        "missing, set to the median and marked by an input: age (1)",
    )


@pytest.mark.parametrize("value", ["1", "yes"])
def test_a_column_of_gaps_and_one_value_says_where_it_is(load, value):
    data = load(f"a,b,label\n{value},1,x\n,2,y\n{value},4,x\n")
    assert data.x[:, 0].tolist() == [0, 1, 0]
    assert data.x.shape == (3, 2)
    assert data.notes[0].endswith("missing or one value, an input says which: a (1)")


@pytest.mark.parametrize("gap", ["", "NA", "n/a", "NaN", "null", "None", "?", "-", "#N/A"])
def test_spellings_of_missing(load, gap):
    data = load(f"a,label\n1,x\n{gap},y\n3,x\n5,y\n")
    assert data.x[:, 1].tolist() == [0, 1, 0, 0]
    close(data.x[:, 0], standardised([1, 3, 3, 5])[:, 0])
    with pytest.raises(UserError, match=r"pool.csv, line 3, column 'label': .* where a class is expected$"):
        load(f"a,label\n1,x\n2,{gap}\n3,x\n4,y\n")


def test_rows_with_gaps_may_be_left_out(load):
    data = load("a,b,c,label\n1,2,?,x\n,3,?,y\n3,4,?,NA\n5,6,?,y\n", missing="drop", drop=["c"])
    close(data.x, standardised([1, 5], [2, 6]))
    assert [place[-6:] for place in data.where] == ["line 2", "line 5"]
    assert data.notes == ("2 inputs from 2 of 2 columns; 2 rows with missing values are left out",)


def test_columns_may_be_left_out_or_be_categories(load):
    data = load("id,code,a,label\n7,1,1,x\n8,2,2,y\n9,1,4,x\n", drop=["id"], categorical=["code"])
    close(data.x, np.column_stack([[1, 0, 1], [0, 1, 0], standardised([1, 2, 4])]))


def test_one_name_may_stand_alone(tmp_path):
    assert Table(path=tmp_path, drop="id", categorical=3).drop == ("id",)
    assert Table(path=tmp_path, drop="id", categorical=3).categorical == ("3",)


def test_zero_padded_numbers_are_categories(load):
    data = load("zip,label\n00501,x\n10001,y\n00501,x\n")
    assert data.x.tolist() == [[1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("header", "numbers"),
    [
        (",a,label", range(40)),
        ("id,a,label", range(1, 41)),
        (",a,label", [2 * i + (i > 7) for i in range(40)]),
        (",a,label", RNG.permutation(40)),
        ("Unnamed: 0,a,label", RNG.permutation(40)),
    ],
    ids=["pandas", "named", "rows were left out", "shuffled", "pandas, written again"],
)
def test_row_numbers_are_no_feature(load, header, numbers):
    data = load(text(numbers, NOISE, LABELS, header=header))
    close(data.x, standardised(NOISE))
    name = "id" if header.startswith("id") else "column 1"
    assert data.notes == (f"1 inputs from 1 of 2 columns; left out: {name} (row numbers)",)


def test_constant_and_empty_columns_are_left_out(load):
    data = load(text([1] * 40, ["NA"] * 40, ["yes"] * 40, NOISE, LABELS, header="one,none,yes,a,label"))
    close(data.x, standardised(NOISE))
    assert data.notes[0].endswith("left out: one (always the same), none (always missing), yes (always the same)")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (RNG.permutation(4000)[:40], "a (all values differ: an identifier or a time?)"),
        ([*NOISE[:37], 99999, 99999, 99999], "a (3 times 99999: a code for missing values? Leave those cells empty)"),
        (
            [10**16 + i // 2 * 2 + i % 2 for i in range(0, 80, 2)][:20] + [10**16 + 1 + 2 * i for i in range(20)],
            "too many digits; an identifier?",
        ),
        ([*range(39), 1e12], "; 40 different numbers become 3 in float32: some are too far out)"),
    ],
)
def test_what_looks_doubtful_is_told(load, column, said):
    notes = load(text(column, NOISE, LABELS, header="a,b,label")).notes
    assert said in notes[1]
    assert notes[1].startswith("look at a (")
    assert notes[1].endswith("; `drop` leaves columns out")


def test_a_nameless_column_that_counts_nothing_is_told(load):
    assert load(text(NOISE, LABELS, header=",label")).notes[1] == (
        "look at column 1 (it has no name); `drop` leaves columns out"
    )


def test_row_numbers_in_an_npz_are_told(load):
    data = load({"x": np.column_stack([NOISE, np.arange(40)]), "y": LABELS})
    assert data.x.shape == (40, 2)
    assert data.notes == ("look at x[:, 1] (row numbers?); `drop` leaves columns out",)


def test_home_and_current_folder(tmp_path, monkeypatch):
    (tmp_path / "pool.csv").write_text(CSV)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/pool.csv", "pool.csv"):
        assert len(Table(path=path, label="kind").load(tmp_path)) == 3


def test_a_label_columns_name_may_be_a_number(load):
    """As `--set table.label=3` gives it."""
    assert load("x,3\n1,a\n2,b\n3,a\n", label=3).class_names == ("a", "b")


SET = "set `label` to the "


@pytest.mark.parametrize("name", ["absent.csv", "absent.npz"])
def test_missing(tmp_path, name):
    with pytest.raises(UserError, match=rf"^cannot read .*{name}: No such file or directory$"):
        Table(path=tmp_path / name).load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            CSV.replace("kind", "lable"),
            rf"pool.csv has no column 'label'; did you mean 'lable'\? Known: a, b, lable; {SET}column",
        ),
        ("", rf"pool.csv has no column 'label'. Known: none; {SET}column"),
        ("label,x,label\n1,2,3\n", r"pool.csv has 2 columns 'label'; the label needs a name of its own"),
        ("label,x\n", r"pool.csv holds 0 rows of 1 features"),
        ("label\na\nb\n", r"pool.csv holds 2 rows of 0 features"),
        ("label,x\na,1\nb,1\n", r"holds 2 rows of 0 features \(0 inputs from 0 of 1 columns; left out: x \(always the"),
        ("label,x,y\na,1,2\n\na,1,red\n", r"pool.csv, line 4, column 'y': 'red' where a finite number is expected"),
        ("y,label,x\n1,a,2\n1,a,red\n", r"line 3, column 'x': 'red' where"),
        ("label,x\na,1\na,-inf\n", r"line 3, column 'x': '-inf' where a finite number is expected"),
        ("label,x\na,1\na,1e200\n", r"line 3, column 'x': '1e200' where a finite number is expected"),
        (
            "label,x\na,1_0\na,1_1\n",
            r"line 2, column 'x': '1_0' where a finite number is expected \(and in 1 more row\); if it is a ",
        ),
        ("label,x\na,٣\na,4\n", r"line 2, column 'x': '٣' where a finite number is expected"),
        ("label,x\na,1\n ,2\n", r"line 3, column 'label': an empty cell where a class is expected"),
        ("label,x\n1,1\nNaN,2\n", r"line 3, column 'label': 'NaN' where a class is expected"),
        ("label,x\na,1\na,1,2\n", r"pool.csv, line 3: 3 cells, but the header has 2"),
        ("label,x\na\n", r"pool.csv, line 2: 1 cells, but the header has 2"),
        ("x,label\n1,2,a\n2,3,b\n", r"pool.csv, line 2: each row has one cell more than the header: row names\?"),
        ('label,x\n"two\nlines",1\na,red\n', r"pool.csv, line 4, column 'x': 'red'"),
        ('label,x\na,1\nb,"2', r"pool.csv, after line 2: not CSV: unexpected end of data"),
        (
            b"label,x\n\xe9t\xe9,1\n",
            r"pool.csv, from line 1 on: not UTF-8 text: invalid continuation byte; save it as",
        ),
    ],
)
def test_bad_csv(load, content, message):
    with pytest.raises(UserError, match=message):
        load(content)


def test_all_problems_are_told_at_once(load):
    names = [f"name{i}" for i in range(120)]
    numbers = ["many", *range(119)]
    with pytest.raises(UserError) as caught:
        load(text(names, numbers, ["x", "NA"] * 60, header="who,count,label"))
    who, count, label = caught.value.problems
    assert who.endswith(
        "column 'who': 120 different texts ('name0', 'name1', 'name2', ...); at most 100 categories: put them into "
        'groups, or leave the column out: drop = ["who"]'
    )
    assert "line 2, column 'count': 'many' where a finite number is expected" in count
    assert label.endswith("line 3, column 'label': 'NA' where a class is expected (and in 59 more rows)")
    with pytest.raises(UserError) as caught:
        load("label,x\na,1\nb\nc,1,2\n")
    assert len(caught.value.problems) == 2


def test_columns_that_are_named_must_be_there(load):
    with pytest.raises(UserError) as caught:
        load(CSV, label="kind", drop=["A"], categorical=["bb"])
    assert caught.value.problems[0].endswith("has no column 'A' to drop. Known: a, b, kind")
    assert "has no column 'bb' to take as categorical; did you mean 'b'?" in caught.value.problems[1]
    with pytest.raises(UserError, match="npz file, whose columns have no names"):
        load(npz(), drop=["a"])


@pytest.mark.parametrize(
    ("labels", "looks"),
    [(RNG.normal(size=400), "a quantity"), (range(400), "an identifier or a quantity")],
    ids=["fractions", "whole"],
)
@pytest.mark.parametrize("form", ["csv", "npz"])
def test_labels_that_are_no_classes(load, labels, looks, form):
    labels, x = list(labels), RNG.normal(size=400)
    content = text(x, labels, header="x,label") if form == "csv" else {"x": x[:, None], "y": labels}
    with pytest.raises(UserError, match=rf"400 classes for 400 records; the label looks like {looks}, no class: name"):
        load(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": np.eye(2), "y": np.arange(2)}, r"pool.npz has no array 'x'(; did you mean 'X'\?|.) Known: X, y$"),
        ({"x": np.eye(2), "label": np.arange(2)}, rf"pool.npz has no array 'y'. Known: label, x; {SET}array"),
        (npz(y=np.arange(4)), r"y has shape \(4,\) and type int64; expected numbers or text of shape \(3,\)$"),
        (npz(y=np.eye(3)), r"y has shape \(3, 3\) and type float64; expected numbers or text of shape \(3,\)$"),
        (npz(y=np.array([b"a", b"b", b"c"])), r"y has shape \(3,\) and type \|S1; expected numbers or text"),
        (npz(y=np.array(["a", "NA", "c"])), r"pool.npz, row 1, array 'y': 'NA' where a class is expected"),
        (npz(x=np.ones(3)), r"x has shape \(3,\) and type float64; expected numbers of shape \(N, F\)$"),
        (npz(x=np.full((3, 2), "1")), r"x has shape \(3, 2\) and type <U1; expected numbers of shape \(N, F\)$"),
        (npz(x=np.array([[1, 2], [3, np.nan], [np.inf, 0]])), r"pool.npz: x\[1, 1\] is nan; expected a finite number"),
        (npz(x=np.array([[1, 2], [3, 4], [-1e200, 0]])), r"pool.npz: x\[2, 0\] is -1e\+200; expected a finite number"),
        (npz(x=np.full((3, 2), np.inf, np.float16)), r"pool.npz: x\[0, 0\] is inf; expected a finite number"),
        (npz(y=np.array([1, np.nan, 2])), r"pool.npz: y\[1\] is nan; expected a finite number"),
        (
            npz(x=np.ones((3, 2), object)),
            r"pool.npz is not an npz file of plain arrays: Object arrays cannot be loaded",
        ),
        (npz(x=np.ones((0, 2)), y=np.ones(0)), r"pool.npz holds 0 rows of 2 features; needs some of both"),
    ],
)
def test_bad_npz(load, content, message):
    with pytest.raises(UserError, match=message):
        load(content)


def test_a_damaged_npz(load):
    with pytest.raises(
        UserError, match=r"pool.npz is not an npz file of plain arrays: it is no zip archive, or is cut"
    ):
        load(b"PK\x03\x04 cut off", "pool.npz")


def test_an_npy_is_not_an_npz(tmp_path):
    with (tmp_path / "pool.npz").open("wb") as file:
        np.save(file, np.eye(3))
    with pytest.raises(
        UserError, match=r"pool.npz is an .npy file of one array; save arrays by name, with numpy.savez"
    ):
        Table(path=tmp_path / "pool.npz").load(tmp_path)


def test_an_array_that_claims_more_than_the_file_holds(tmp_path):
    with (tmp_path / "pool.npz").open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, shape in (("x", (2**40, 1)), ("y", (3,))):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": shape})
                member.write(bytes(24))
    with pytest.raises(UserError, match=r"the array 'x' claims 8,796,093,022,208 bytes and holds 152"):
        Table(path=tmp_path / "pool.npz").load(tmp_path)


@pytest.mark.parametrize(
    ("cells", "unit"),
    [("45%,5%,100%", "%"), ("$4.50,$5,$60", "$"), ("3 kg,-4 kg,5kg", "kg"), ("Q1,Q2,Q3", ""), ("1%,2%,3$", ""),
     ("1%,2%,3%,low", ""), ("1.2.3%,2%,3%", "")],
)  # fmt: skip
def test_numbers_with_a_unit_are_doubted_as_categories(load, cells, unit):
    values = cells.split(",")
    data = load("x,label\n" + "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(3 * values)))
    said = [note.partition(")")[0] for note in data.notes if "numbers with" in note]
    assert data.x.shape == (3 * len(values), len(values))
    assert said == [f"look at x (numbers with {unit}, taken as categories: write them without"] * bool(unit)


def test_too_many_numbers_with_a_unit_say_what_to_do(load):
    with pytest.raises(UserError, match="at most 100 categories: write these numbers without %, or leave the column"):
        load("x,label\n" + "".join(f"{i}%,{i % 2}\n" for i in range(200)))


def test_texts_that_look_alike_are_told(load):
    notes = load("x,label\nA,Yes\na,yes\nb,no\nb,no\nCafe\u0301,no\nCaf\u00e9,no \n").notes
    differ = "differ only in capitals, spaces or accents' encoding"
    assert any(note.startswith(f"look at x ({differ}: A, a, Cafe\u0301, Caf\u00e9)") for note in notes)
    assert f"classes that {differ} are kept apart: Yes, yes" in notes


@pytest.fixture
def parquet(tmp_path):
    """Write columns as Parquet and load them."""
    arrow = pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    from pyarrow import parquet

    def write(columns, **arguments):
        parquet.write_table(arrow.table(columns), tmp_path / "pool.any")
        return Table(path=tmp_path / "pool.any", **arguments).load(tmp_path)

    return write


def test_parquet_is_read_as_the_same_csv(parquet, load):
    import datetime

    import pyarrow

    days = [datetime.datetime(2024, 1, 1 + i) for i in (0, 9, 3, 20)]
    columns = {
        "a": [0.1, 2.5e-7, None, 3.0],
        "sex": pyarrow.array(["m", None, "f", "m"]).dictionary_encode(),
        "seen": days,
        "__index_level_0__": [5, 4, 7, 1],
        "label": ["x", "y", "x", "y"],
    }
    data = parquet(columns, drop=["column 4"])
    times = [int(day.replace(tzinfo=datetime.UTC).timestamp()) * 1000 for day in days]
    same = load("a,sex,seen,label\n" + "".join(f"{a},{s},{t},{y}\n" for a, s, t, y in zip(
        (0.1, 2.5e-7, "", 3), ("m", "", "f", "m"), times, "xyxy", strict=True)))  # fmt: skip
    close(data.x, same.x.numpy())
    assert data.class_names == same.class_names
    assert data.where[3].endswith("pool.any, row 3")


def test_parquet_of_lists(parquet):
    """Told with all else that is wrong, and left out as any column."""
    columns = {"a": [[1], [2]], "b": ["1", "x"], "c": [0.5, 2.0], "label": ["x", "y"]}
    with pytest.raises(UserError) as error:
        parquet(columns)
    nested, text = error.value.problems
    assert nested.endswith("column 'a': holds lists, structures or bytes; leave the column out: drop = [\"a\"]")
    assert "column 'b': 'x' where a finite number is expected" in text
    assert parquet(columns, drop=["a", "b"], missing="drop").x.shape == (2, 1)
    with pytest.raises(UserError, match=r"pool.any, column 'a' is no label: it holds lists, structures or bytes"):
        parquet(columns, label="a", drop=["b"])


@pytest.mark.parametrize("kind", ["binary", "large_binary"])
def test_parquet_of_bytes(parquet, kind):
    import pyarrow

    column = pyarrow.array([b"1", b"2"], getattr(pyarrow, kind)())
    with pytest.raises(UserError, match="column 'a': holds lists, structures or bytes"):
        parquet({"a": column, "c": [0.5, 2.0], "label": ["x", "y"]})


def test_parquet_of_times_says_what_they_become(parquet):
    import datetime

    days = [datetime.date(2024, 1, 1 + i) for i in (0, 9, 3, 20)]
    data = parquet({"a": [0.1, 2, 4, 3.0], "seen": days, "label": ["x", "y", "x", "y"]})
    assert "times, as numbers since 1970: seen" in data.notes[0]


def test_parquet_without_the_extra(load, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(
        UserError, match=r"pool is a Parquet file; reading it needs pyarrow: pip install 'miabench\[par"
    ):
        load(b"PAR1" + bytes(100), "pool")


def test_a_damaged_parquet_file(load):
    pytest.importorskip("pyarrow", reason="needs the extra `parquet`")
    with pytest.raises(UserError, match=r"pool is a Parquet file that is damaged or cut off: "):
        load(b"PAR1" + bytes(100), "pool")
