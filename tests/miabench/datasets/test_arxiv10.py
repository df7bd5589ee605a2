"""arXiv-10 from a tiny CSV of the published columns; what the text pipeline does is tested with `text`."""

import csv
import io

import numpy as np
import pytest
import torch

from miabench.datasets.arxiv10 import Arxiv10
from miabench.errors import UserError
from miabench.plugins.discover import discover

LONG = "one " * 41 + "."
ROWS = [
    ("Title words", "We prove it. It's TRUE,\nand new!", "math"),
    ("Other title", "We, again.", "cs"),
    ("Title words", "It is new. " * 12, "math"),
    ("Title words", LONG, "astro-ph"),
] * 2


def table(header=("title", "abstract", "label"), rows=ROWS):
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


@pytest.fixture
def load(tmp_path):
    def load(text=None, **arguments):
        (tmp_path / "arxiv.csv").write_text(table() if text is None else text)
        return Arxiv10(path=tmp_path / "arxiv.csv", **arguments).pool(tmp_path / "root")

    return load


def test_abstracts_only_as_10_sentences_of_40_words(load):
    data = load()
    assert data.x.shape == (8, 10, 40)
    assert data.x.dtype == torch.int64
    words = (data.x > 0).sum(2)  # of each sentence
    assert words[0].tolist() == [3, 5] + [0] * 8  # we prove it / it s true and new
    assert words[1].tolist() == [2] + [0] * 9
    assert words[2].tolist() == [3] * 10
    assert words[3].tolist() == [40] + [0] * 9
    we, it = data.x[0, 0, 0], data.x[0, 0, 2]
    assert data.x[1, 0, 0] == we
    assert data.x[0, 1, 0] == it  # whether a capital or not
    assert data.x[4].equal(data.x[0])


def test_classes_are_sorted(load):
    data = load()
    assert data.class_names == ("astro-ph", "cs", "math")
    assert data.y.tolist() == [2, 1, 2, 0] * 2


def test_vectors_from_glove(load, tmp_path):
    (tmp_path / "glove.txt").write_text("we 1 2\nnowhere 5 6\nnew 3 4\n")
    data = load(glove=tmp_path / "glove.txt")
    assert data.embedding is not None
    we = data.x[0, 0, 0]
    np.testing.assert_array_equal(data.embedding[we].numpy(), [1, 2])
    assert len(data.embedding) == 4  # padding, unknown, we, new


def test_a_title_alone_changes_nothing(load):
    other = load(table(rows=[("Something else", *row[1:]) for row in ROWS]))
    assert load().x.equal(other.x)


@pytest.mark.parametrize("missing", ["abstract", "label"])
def test_without_a_column(load, missing):
    header = ["title", "abstract", "label"]
    header[header.index(missing)] = "x"
    with pytest.raises(UserError, match=rf"arxiv.csv has no column '{missing}'"):
        load(table(header))


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"^cannot read .*/absent.csv: No such file or directory$"):
        Arxiv10(path=tmp_path / "absent.csv").load(tmp_path)


def test_says_where_to_get_it():
    with pytest.raises(
        UserError, match=r"arxiv10 needs path: the CSV file, from the repository ashfarhangi/Protoformer"
    ):
        discover().get("dataset", "arxiv10").build({})
