"""Text: documents and classes as in the file, plain or compressed; every bad cell has a message with its place."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest
import torch

import miabench
from miabench.data import tokens as text
from miabench.datasets.text import Text
from miabench.errors import UserError

CSV = 'title,text,label\nOne,"A cat, a dog.",pet\n\nTwo,"A lion!\nA ""cat"".",wild\nThree,?,pet\n'
BARE = '"2","A cat","a dog"\n"10","a lion","?"\n"2","?",""\n'


def zipped(content, names=("pool.csv",)):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return stream.getvalue()


COMPRESS = {".csv": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": zipped}


@pytest.fixture
def load(tmp_path):
    """Load a CSV from its text or bytes."""

    def load(content, suffix=".csv", **arguments):
        path = tmp_path / f"pool{suffix}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        settings = {"min_count": 1, "sentences": 2, "words": 4, **arguments}
        return Text(path=path, **settings).load(tmp_path / "root")

    return load


@pytest.mark.parametrize("suffix", COMPRESS)
def test_plain_or_compressed(load, suffix):
    data = load(COMPRESS[suffix](CSV.encode()), suffix)
    assert data.x.tolist() == [
        [[2, 3, 2, 4], [0, 0, 0, 0]],  # a cat a dog
        [[2, 5, 0, 0], [2, 3, 0, 0]],  # a lion, a cat
        [[1, 0, 0, 0], [0, 0, 0, 0]],  # ?
    ]
    assert data.x.dtype == torch.int64
    assert data.y.tolist() == [0, 1, 0]
    assert data.y.dtype == torch.int64
    assert data.class_names == ("pet", "wild")
    assert data.embedding.shape == (6, 50)
    assert (data.domain.vocabulary, data.domain.shape) == (6, (2, 4))
    assert [place.split(f"pool{suffix}, ")[1] for place in data.where] == ["line 2", "line 5", "line 6"]


def test_without_a_header_columns_are_positions(load):
    data = load(BARE, header=False, label=0, text=[1, 2])
    assert data.class_names == ("2", "10")
    assert data.y.tolist() == [0, 1, 0]
    assert data.x.tolist() == [
        [[2, 3, 0, 0], [2, 4, 0, 0]],  # each column begins a sentence
        [[2, 5, 0, 0], [0, 0, 0, 0]],
        [[1, 0, 0, 0], [0, 0, 0, 0]],
    ]


def test_one_column_or_several(load):
    assert load(CSV, text="title").x[0].tolist() == [[2, 0, 0, 0], [0, 0, 0, 0]]
    assert load(CSV, text=["title", "text"]).x[0].tolist() == [[2, 0, 0, 0], [3, 4, 3, 5]]
    assert load(CSV, text=["title"]).x.equal(load(CSV, text="title").x)


@pytest.mark.parametrize(
    ("labels", "names"),
    [(["10", "9", "-1"], ("-1", "9", "10")), (["b10", "b9", "a"], ("a", "b10", "b9")), (["10", "9", "x"],) * 2],
)
def test_classes_are_sorted(load, labels, names):
    data = load("label,text\n" + "".join(f" {label} ,x\n" for label in labels))
    assert data.class_names == tuple(names)
    assert [data.class_names[label] for label in data.y] == labels


def test_defaults_are_those_of_the_paper_and_a_count_of_two(tmp_path):
    path = tmp_path / "pool.csv"
    path.write_text("label,text\na,once twice\nb,twice\n")
    data = Text(path=path).load(tmp_path)
    assert data.x.shape == (2, 10, 40)
    assert data.x[:, 0, :3].tolist() == [[1, 2, 0], [2, 0, 0]]


def test_glove(load, tmp_path):
    glove = tmp_path / "glove.txt"
    glove.write_text("cat 1 2\nzoo 3 4\nlion 5 6\n")
    data = load(CSV, glove=glove)
    assert data.embedding.tolist() == [[0, 0], [0, 0], [1, 2], [5, 6]]
    assert data.x[1].tolist() == [[1, 3, 0, 0], [1, 2, 0, 0]]
    other = tmp_path / "other.txt"
    other.write_text("cat 1 2\nlion 5 7\n")
    changed = load(CSV, glove=other)
    assert changed.x.equal(data.x)
    assert changed.preparation != data.preparation
    assert load(CSV, glove=glove).preparation == data.preparation


def test_vectors_stay_when_records_are_left_out(tmp_path):
    path = tmp_path / "pool.csv"
    path.write_text("label,text\n" + "".join(f"{i % 2},w{i} w\n" for i in range(40)))
    some, whole = (
        miabench.load_dataset("text", path=path, min_count=1, data_root=tmp_path, records=records)
        for records in (10, None)
    )
    assert (len(some), len(whole)) == (10, 40)
    assert some.embedding.equal(whole.embedding)
    assert some.domain.vocabulary == 43


def test_encoded_once(load, monkeypatch):
    first = load(CSV)
    monkeypatch.setattr(text, "split", lambda _: pytest.fail("encoded again"))
    again = load(CSV)
    assert again.fingerprint() == first.fingerprint()
    assert again.preparation == first.preparation
    assert again.class_names == first.class_names
    assert list(again.where) == list(first.where)


@pytest.mark.parametrize(
    "other", [{"sentences": 1}, {"words": 3}, {"min_count": 2}, {"text": "title"}, {"label": "title"}]
)
def test_other_settings_are_encoded_anew(load, other):
    assert seen(load(CSV, **other)) != seen(load(CSV))


def test_other_content_is_encoded_anew(load):
    assert seen(load(CSV)) != seen(load(CSV.replace("lion", "dog")))


def seen(data):
    return data.fingerprint(), data.domain, data.class_names


def test_home_and_current_folder(tmp_path, monkeypatch):
    (tmp_path / "pool.csv").write_text(CSV)
    (tmp_path / "glove.txt").write_text("cat 1 2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for folder in ("~/", ""):
        assert len(Text(path=f"{folder}pool.csv", glove=f"{folder}glove.txt").load(tmp_path / "root")) == 3


def test_long_documents_byte_order_mark_and_line_ends(load):
    document = "word " * 50_000
    data = load(f'﻿"label", "text"\r\na, "{document}"\r\nb,x\r\n')
    assert data.x[0].tolist() == [[2, 2, 2, 2], [0, 0, 0, 0]]
    assert data.class_names == ("a", "b")


@pytest.mark.parametrize("path", ["absent.csv", "absent.csv.xz", "absent.zip", "."])
def test_missing(tmp_path, path):
    with pytest.raises(UserError, match=r"^cannot read .*: (No such file or directory|Is a directory)$"):
        Text(path=tmp_path / path).load(tmp_path / "root")
    (tmp_path / "pool.csv").write_text(CSV)
    with pytest.raises(UserError, match=r"^cannot read .*absent.txt: No such file or directory$"):
        Text(path=tmp_path / "pool.csv", glove=tmp_path / "absent.txt").load(tmp_path / "root")


NAMED = "`label` and `text` name the columns to read$"


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (
            CSV,
            {"text": "txt"},
            rf"pool.csv has no column 'txt'; did you mean 'text'\? Known: label, text, title; {NAMED}",
        ),
        (CSV, {"text": ["title", "body"]}, rf"pool.csv has no column 'body'. Known: label, text, title; {NAMED}"),
        (CSV, {"label": "class"}, rf"pool.csv has no column 'class'. Known: label, text, title; {NAMED}"),
        (CSV, {"label": 2}, rf"pool.csv has no column '2'. Known: label, text, title; {NAMED}"),
        ("label,text,label\n", {}, r"pool.csv has 2 columns 'label'; it needs a name of its own$"),
        (
            BARE,
            {"header": False, "label": 3, "text": 1},
            rf"pool.csv has no column 3; it has 3, counted from 0; {NAMED}",
        ),
        (
            BARE,
            {"header": False, "label": -1, "text": 1},
            rf"pool.csv has no column -1; it has 3, counted from 0; {NAMED}",
        ),
        (
            BARE,
            {"header": False, "label": 0},
            r"^column 'text' is a name, but header = false: give its position, 0 to 2$",
        ),
        ("", {}, r"pool.csv holds no documents$"),
        ("label,text\n", {}, r"pool.csv holds no documents$"),
        (CSV + "Four,x, \n", {}, r"pool.csv, line 7, column 'label': an empty cell where a class is expected$"),
        (CSV + "Four,x,NaN\n", {}, r"line 7, column 'label': 'NaN' where a class is expected$"),
        (BARE + ",a,b\n", {"header": False, "label": 0, "text": 1}, r"pool.csv, line 4, column 0: an empty cell where"),
        (CSV + "Four,x\n", {}, r"pool.csv, line 7: 2 cells, but the first row has 3$"),
        ('label,text\na,b\na,"x', {}, r"pool.csv, after line 2: not CSV: unexpected end of data$"),
        (
            b"label,text\n\xe9t\xe9,1\n",
            {},
            r"pool.csv, from line 1 on: not UTF-8 text: invalid continuation byte; save it as UTF-8$",
        ),
    ],
)
def test_bad_csv(load, content, arguments, message):
    with pytest.raises(UserError, match=message):
        load(content, **arguments)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zip"])
@pytest.mark.parametrize("damage", ["cut off", "flipped"])
def test_damaged_archives(load, suffix, damage):
    whole = COMPRESS[suffix](CSV.encode() * 50)
    flipped = whole[:40] + bytes([whole[40] ^ 255]) + whole[41:]
    content = {"cut off": whole[: len(whole) // 2], "flipped": flipped}[damage]
    with pytest.raises(UserError, match=rf"pool{suffix} is .*damaged or cut off: \w"):
        load(content, suffix)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compression_is_told_from_the_content(load, suffix):
    assert load(COMPRESS[suffix](CSV.encode()), ".txt").x.equal(load(CSV).x)
    assert load(CSV, suffix).x.equal(load(CSV).x)


@pytest.mark.parametrize("between", [";", "\t", "|"])
def test_delimiters(load, between):
    assert load(f"label{between}text\na{between}one, two\nb{between}three\n").x[0, 0].tolist() == [2, 3, 0, 0]


def test_one_word_in_every_spelling(load):
    """Composed and decomposed letters, tags and entities."""
    data = load("label,text\na,re\u0301sume\u0301\nb,r\u00e9sum\u00e9<br />\na,<p class='x'>R&eacute;sum&eacute;</p>\n")
    assert data.x[:, 0].tolist() == [[2, 0, 0, 0]] * 3


def test_notes_say_what_became_of_the_words(load):
    data = load("label,text\na,one two\nb,two! three. four\na,five six seven eight nine\nb,?\n", min_count=2)
    assert data.notes == (
        "1 words are known; 77.8% of what was read are unknown words; 50.0% of the documents are longer than 2 "
        "sentences of 4 words and are cut off; 50.0% have no known word",
        "look at the text: more than half of its words are unknown; a lower min_count may help",
    )
    assert len(load("label,text\na,one two\nb,two one\n").notes) == 1


def test_labels_that_are_no_classes(load):
    with pytest.raises(UserError, match=r"line 2, column 'label': 100 classes for 100 records; .* an identifier or a"):
        load("label,text\n" + "".join(f"{i},x\n" for i in range(100)))
    assert load("label,text\n00501,x\n501,x\n").notes[1].endswith("are kept apart: 00501, 501")


@pytest.mark.parametrize(("names", "number"), [((), 0), (("a.csv", "b.csv"), 2)])
def test_zip_of_one_file(load, names, number):
    with pytest.raises(UserError, match=rf"pool.zip holds {number} files; expected one CSV file$"):
        load(zipped(CSV, names), ".zip")


def test_ag_news(shared_data, tmp_path):
    data = miabench.load_dataset(
        "text", path=shared_data / "agnews-test.csv.xz", header=False, label=0, text=(1, 2), data_root=tmp_path
    )
    assert data.x.shape == (7600, 10, 40)
    assert data.y.bincount().tolist() == [1900] * 4
    assert data.class_names == ("1", "2", "3", "4")
    assert 10_000 < data.domain.vocabulary == len(data.embedding) < 20_000
    assert (data.x[:, 0, 0] != text.PADDING).all()
