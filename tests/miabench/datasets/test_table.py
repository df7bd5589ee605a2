"""Tables: values and classes as in the file; every bad cell has a message with its place."""

import numpy as np
import pytest
import torch

from miabench.datasets.table import Table
from miabench.errors import UserError

CSV = "a, kind ,b\n1,cat,0.5\n2,dog,-1e3\n\n3,cat,0.5\n"


@pytest.fixture
def load(tmp_path):
    """Load the text of a CSV or the arrays of an npz."""

    def load(content, **arguments):
        path = tmp_path / ("pool.csv" if isinstance(content, (str, bytes)) else "pool.npz")
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


def test_csv(load):
    data = load(CSV, label="kind")
    assert data.x.tolist() == [[1, 0.5], [2, -1000], [3, 0.5]]
    assert data.x.dtype == torch.float32
    assert data.y.tolist() == [0, 1, 0]
    assert data.y.dtype == torch.int64
    assert data.class_names == ("cat", "dog")
    assert [place.split("pool.csv, ")[1] for place in data.where] == ["line 2", "line 3", "line 5"]


def test_npz(load):
    data = load(npz())
    assert data.x.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert data.x.dtype == torch.float32
    assert data.y.tolist() == [1, 0, 1]
    assert data.class_names == ("5", "7")
    assert data.where[2].endswith("pool.npz, row 2")


def test_label_column_is_label_unless_named(load):
    data = load("x,label\n1,b\n2,a\n")
    assert data.x.tolist() == [[1], [2]]
    assert data.class_names == ("a", "b")
    assert load({"x": np.eye(2), "kind": np.array(["u", "t"])}, label="kind").class_names == ("t", "u")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10.5", "9", "1e1"], ("9.0", "10.0", "10.5")),
        (["b10", "b9", "a"], ("a", "b10", "b9")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1", "inf", "2"], ("1", "2", "inf")),
    ],
)
def test_classes_are_sorted(load, labels, names):
    data = load("label,x\n" + "".join(f"{label},{i}\n" for i, label in enumerate(labels)))
    assert data.class_names == names
    same = [str(type_(label)) for label in labels for type_ in (str, float) if names[0] == "9.0" or type_ is str]
    assert {data.class_names[label] for label in data.y} <= set(same)


def test_normalised_over_the_pool_and_constant_features_are_zero(load):
    x = np.random.default_rng(0).normal(5, 3, (50, 3))
    x[:, 1] = 0.1
    data = load({"x": x, "y": np.arange(50) % 2})
    inputs = data.inputs(torch.arange(50), torch.device("cpu"), torch.float64).numpy()
    stored = x.astype(np.float32).astype(np.float64)
    expected = (stored - stored.mean(0)) / np.where([False, True, False], 1, stored.std(0))
    np.testing.assert_allclose(inputs, expected, rtol=1e-9, atol=1e-9)
    assert abs(inputs[:, 1]).max() < 1e-9


def test_byte_order_mark_quotes_and_line_ends(load):
    data = load('﻿"label", "x"\r\n"a, b", 1\r\nc, "2"\r\n'.encode())
    assert data.class_names == ("a, b", "c")
    assert data.x.tolist() == [[1], [2]]


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
        ("label,x,y\na,1,2\n\na,1,red\n", r"pool.csv, line 4, column 'y': 'red' where a finite number is expected"),
        ("y,label,x\n1,a,2\n1,a,red\n", r"line 3, column 'x': 'red' where"),
        ("label,x\na,\n", r"line 2, column 'x': an empty cell where a finite number is expected"),
        ("label,x\na,1\na,nan\n", r"line 3, column 'x': 'nan' where a finite number is expected"),
        ("label,x\na,-inf\n", r"line 2, column 'x': '-inf' where a finite number is expected"),
        ("label,x\na,1e39\n", r"line 2, column 'x': '1e39' where a finite number is expected"),
        ("label,x\na,1\n ,2\n", r"line 3, column 'label': an empty cell where a class is expected"),
        ("label,x\n1,1\nNaN,2\n", r"line 3, column 'label': 'NaN' where a class is expected"),
        ("label,x\na,1\na,1,2\n", r"pool.csv, line 3: 3 cells, but the header has 2"),
        ("label,x\na\n", r"pool.csv, line 2: 1 cells, but the header has 2"),
        ('label,x\n"two\nlines",1\na,red\n', r"pool.csv, line 4, column 'x': 'red'"),
        ('label,x\na,1\nb,"2', r"pool.csv, line 3: not CSV: unexpected end of data"),
        (b"label,x\n\xe9t\xe9,1\n", r"pool.csv is not UTF-8 text: invalid continuation byte at byte 8"),
    ],
)
def test_bad_csv(load, content, message):
    with pytest.raises(UserError, match=message):
        load(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": np.eye(2), "y": np.arange(2)}, r"pool.npz has no array 'x'(; did you mean 'X'\?|.) Known: X, y$"),
        ({"x": np.eye(2), "label": np.arange(2)}, rf"pool.npz has no array 'y'. Known: label, x; {SET}array"),
        (npz(y=np.arange(4)), r"y has shape \(4,\) and type int64; expected numbers or text of shape \(3,\)$"),
        (npz(y=np.eye(3)), r"y has shape \(3, 3\) and type float64; expected numbers or text of shape \(3,\)$"),
        (npz(y=np.array([b"a", b"b", b"c"])), r"y has shape \(3,\) and type \|S1; expected numbers or text"),
        (npz(x=np.ones(3)), r"x has shape \(3,\) and type float64; expected numbers of shape \(N, F\)$"),
        (npz(x=np.full((3, 2), "1")), r"x has shape \(3, 2\) and type <U1; expected numbers of shape \(N, F\)$"),
        (npz(x=np.array([[1, 2], [3, np.nan], [np.inf, 0]])), r"pool.npz: x\[1, 1\] is nan; expected a finite number"),
        (npz(x=np.array([[1, 2], [3, 4], [-1e39, 0]])), r"pool.npz: x\[2, 0\] is -1e\+39; expected a finite number"),
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


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut off"])
def test_not_an_npz(tmp_path, content):
    (tmp_path / "pool.npz").write_bytes(content)
    with pytest.raises(
        UserError, match=r"pool.npz is not an npz file of plain arrays: it is no zip archive, or is cut"
    ):
        Table(path=tmp_path / "pool.npz").load(tmp_path)


def test_an_npy_is_not_an_npz(tmp_path):
    with (tmp_path / "pool.npz").open("wb") as file:
        np.save(file, np.eye(3))
    with pytest.raises(
        UserError, match=r"pool.npz is not an npz file of plain arrays: it is no zip archive, or is cut"
    ):
        Table(path=tmp_path / "pool.npz").load(tmp_path)
