"""The door for strangers' files: regular files only, bounded, and what is not read is named."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import socket
import tarfile
import zipfile

import numpy as np
import pytest

from miabench.errors import UserError
from miabench.files import opened
from miabench.files.npz import open_npz
from miabench.files.opened import bound, decompressed, text_lines

PACK = [gzip.compress, bz2.compress, lzma.compress]


def lines(path):
    with text_lines(path) as found:
        return list(found)


def read_all(stream, most):
    read = 0
    while chunk := stream.read(1000):
        read += len(chunk)
        assert read <= most


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def small(monkeypatch):
    """Limits that a test reaches in no time."""
    monkeypatch.setattr(opened, "SMALL_ENOUGH", 10_000)
    monkeypatch.setattr(opened, "LONGEST_LINE", 1000)
    monkeypatch.setattr(opened, "LARGEST_TEXT", 50_000)


@pytest.mark.parametrize("pack", [bytes, *PACK, lambda content: zipped({"a.txt": content})])
def test_lines_of_text(tmp_path, pack):
    (tmp_path / "file").write_bytes(pack("\ufeffone\r\ntw\u00f6\n\nlast".encode()))
    assert lines(tmp_path / "file") == ["one\r\n", "tw\u00f6\n", "\n", "last"]


@pytest.fixture(params=["named pipe", "device", "socket", "folder", "link loop", "link to a device"])
def no_file(request, tmp_path):
    """Something that is no file, and what is said of it."""
    path = tmp_path / "x"
    match request.param:
        case "named pipe":
            os.mkfifo(path)
            yield path, "x is a named pipe, no file; save what comes from it to a file first$"
        case "device":
            from pathlib import Path

            yield Path("/dev/zero"), "/dev/zero is a device, no file; save"
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
                yield path, "x is a socket, no file"
        case "folder":
            path.mkdir()
            yield path, "cannot read .*x: Is a directory$"
        case "link loop":
            path.symlink_to(path)
            yield path, "cannot read .*x: Too many levels of symbolic links$"
        case "link to a device":
            path.symlink_to("/dev/zero")
            yield path, r"x is a device \(through a link, /dev/zero\), no file"


@pytest.mark.parametrize("read", [lines, lambda path: open_npz(path).__enter__()], ids=["text", "npz"])
def test_what_is_no_file_is_refused_by_name(no_file, read):
    path, message = no_file
    with pytest.raises(UserError, match=message):
        read(path)


@pytest.mark.parametrize("pack", PACK)
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, pack, small):
    (tmp_path / "bomb").write_bytes(pack(b"0\n" * 2**22))
    size = (tmp_path / "bomb").stat().st_size
    message = r"bomb unpacks to more than .* GiB, over 100 times its size: refused"
    with decompressed(tmp_path / "bomb") as stream, pytest.raises(UserError, match=message):
        read_all(stream, most=bound(size))


def test_a_zip_bomb_is_refused_before_it_is_read(tmp_path, small):
    (tmp_path / "bomb").write_bytes(zipped({"a.csv": bytes(2**24)}))
    (tmp_path / "bomb.npz").write_bytes(zipped({"x.npy": bytes(2**24)}))
    for read, name in ((lines, "bomb"), (lambda path: open_npz(path).__enter__(), "bomb.npz")):
        with pytest.raises(UserError, match=rf"{name} unpacks to more than"):
            read(tmp_path / name)


def test_what_unpacks_to_a_hundred_times_its_size_is_read(tmp_path, small):
    content = np.random.default_rng(0).bytes(20_000).hex().encode().replace(b"0", b"\n")
    (tmp_path / "file").write_bytes(gzip.compress(content))
    with decompressed(tmp_path / "file") as stream:
        assert stream.read() == content


def test_text_without_lines(tmp_path, small):
    (tmp_path / "file").write_text("a,b\n" + "1" * 5000)
    with pytest.raises(UserError, match=r"file, line 2 is longer than 1,000 characters: no table of rows"):
        lines(tmp_path / "file")


def test_too_much_text(tmp_path, small):
    (tmp_path / "file").write_text("1,2\n" * 20_000)
    with pytest.raises(UserError, match=r"file holds more than \d GiB of text; use an npz file"):
        lines(tmp_path / "file")


def npy():
    stream = io.BytesIO()
    np.save(stream, np.eye(2))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1....", "is a Parquet file; save it as CSV"),
        (b"ARROW1\0\0", r"is an Arrow file \(Feather\); save it as Parquet or CSV"),
        (zipped({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "is an Excel file; save the sheet as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"is an old Excel file \(.xls\); save the sheet"),
        (zipped({"net/data.pkl": "", "net/data/0": ""}), "is a file of PyTorch; save arrays by name"),
        (zipped({"x.npy": npy()}), "is an npz file of arrays; a CSV is expected here"),
        (npy(), "is an .npy file of one array; save arrays by name"),
        (pickle.dumps([1]), "is a pickle; it could run anything when it is read"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), r"is no text: it holds NUL bytes \(UTF-16 without a mark\?\)"),
        (b'{"a": 1}\n{"a": 2}\n', "is JSON; save it as CSV"),
        (b"\n<!DOCTYPE html>", "is a web page; download the file itself"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (b"SQLite format 3\0", "is a SQLite database; export the table"),
        (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, not the file itself"),
        (b"PK\x03\x04 cut off", "is a zip archive that is damaged or cut off: .*; if it is an Excel file, save the"),
        (zipped({"a": "", "b": ""}), "holds 2 files; expected one CSV file"),
        ("a,b\n\u00e9,2\n".encode("latin-1"), "from line 1 on: not UTF-8 text: invalid continuation byte; save it as"),
    ],
)
@pytest.mark.parametrize("name", ["pool.csv", "pool"])
def test_other_formats_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        lines(tmp_path / name)


def test_what_systems_put_into_a_zip_is_no_file_of_it(tmp_path):
    """As the Finder of macOS writes zips."""
    (tmp_path / "pool.zip").write_bytes(zipped({"a.csv": "a\n1\n", "__MACOSX/._a.csv": "\0", ".DS_Store": "\0"}))
    assert lines(tmp_path / "pool.zip") == ["a\n", "1\n"]


def tarred(content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        about = tarfile.TarInfo("a.csv")
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        zipped({"inner.zip": zipped({"a.csv": "a,b\n1,2\n"})}),
        zipped({"a.csv.gz": gzip.compress(b"a,b\n1,2\n")}),
        gzip.compress(lzma.compress(b"a,b\n1,2\n")),
        gzip.compress(tarred(b"a,b\n1,2\n")),
        tarred(b"a,b\n1,2\n"),
    ],
    ids=["zip in zip", "gzip in zip", "xz in gzip", "tar.gz", "tar"],
)
def test_an_archive_of_archives(tmp_path, content):
    (tmp_path / "file.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"file.csv is or holds an archive; unpack it, and give the file that is meant"):
        lines(tmp_path / "file.csv")


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("damage", ["cut off", "flipped"])
def test_damaged(tmp_path, pack, damage):
    whole = pack(b"one,two\n" * 500)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x55
    (tmp_path / "file").write_bytes(flipped if damage == "flipped" else whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"file is damaged or cut off: \w"):
        lines(tmp_path / "file")
