"""Folders, tars and zips give the same files; what is damaged or cut off is an error, never fewer files."""

import errno
import io
import os
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from miabench.errors import UserError
from miabench.files import archive as archive_module
from miabench.files import opened
from miabench.files.archive import content_hash, contents

NAMES = [f"{top}/{i}.bin" for i in range(6) for top in "ba"]  # in another order than sorted
FILES = {name: np.random.default_rng(i).bytes(300 + 100 * i) for i, name in enumerate(NAMES)}
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def everything(name):
    return True


def pack(path, form):
    """FILES as a folder, a zip or a tar of some compression."""
    if form == "folder":
        for name, content in FILES.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.mkdir("b")
            for name, content in FILES.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, TARS[form]) as archive:
            folder = tarfile.TarInfo("b")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", ["folder", "zip", *TARS])
def test_every_file_once(tmp_path, form):
    path = pack(tmp_path / "packed", form)
    found = list(contents(path, everything))
    assert dict(found) == FILES
    names = [name for name, _ in found]
    assert names == (sorted(FILES) if form == "folder" else list(FILES))


@pytest.mark.parametrize("form", ["folder", "zip", *TARS])
def test_only_wanted_files(tmp_path, form):
    path = pack(tmp_path / "packed", form)
    assert [name for name, _ in contents(path, lambda name: name == "a/3.bin")] == ["a/3.bin"]


DAMAGED = r"\S*packed is no folder, tar or zip archive, or is damaged or cut off: \w"


def read_damaged(path, content):
    """The message about an archive of this content; None where it is read as FILES all the same."""
    path.write_bytes(content)
    try:
        found = dict(contents(path, everything))
    except UserError as error:
        return str(error)
    assert found == FILES
    return None


@pytest.mark.parametrize("form", ["zip", *TARS])
def test_cut_off_anywhere(tmp_path, form):
    whole = pack(tmp_path / "packed", form).read_bytes()
    if form == "tar":  # within or at the edge of a header, content or its padding; zeros follow the last
        with tarfile.open(tmp_path / "packed") as archive:
            edges = [edge for member in archive for edge in (member.offset, member.offset_data)]
        lengths = [edge + more for edge in edges for more in (0, 10, 100)]
    else:
        lengths = [*np.linspace(0, len(whole) - 20, 40).astype(int), *(len(whole) - i for i in range(1, 20))]
    for length in lengths:
        assert re.match(DAMAGED, read_damaged(tmp_path / "packed", whole[:length]) or ""), length


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_flipped_byte_changes_no_file_unnoticed(tmp_path, form):
    whole = pack(tmp_path / "packed", form).read_bytes()
    middle, end = len(whole) // 2, 700 if form == "zip" else 20  # a zip's directory comes last
    for place in (*range(60), *range(60, len(whole) - end, 197), middle, *range(len(whole) - end, len(whole))):
        flipped = bytearray(whole)
        flipped[place] ^= 0x55
        message = read_damaged(tmp_path / "packed", flipped)  # None: a date, which has no checksum
        assert re.match(DAMAGED, message) if message else place != middle, place


def test_tar_with_a_damaged_header(tmp_path):
    whole = bytearray(pack(tmp_path / "packed", "tar").read_bytes())
    with tarfile.open(tmp_path / "packed") as archive:
        whole[archive.getmember("a/3.bin").offset + 5] ^= 1
    (tmp_path / "packed").write_bytes(whole)
    with pytest.raises(UserError, match="damaged"):
        list(contents(tmp_path / "packed", everything))


def test_zip_with_a_damaged_file(tmp_path):
    path = pack(tmp_path / "packed", "zip")
    path.write_bytes(path.read_bytes().replace(FILES["a/3.bin"], FILES["a/3.bin"][::-1]))
    with pytest.raises(UserError, match=r"damaged or cut off: Bad CRC-32 for file 'a/3.bin'"):
        list(contents(path, everything))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_wanted_link_in_a_tar(tmp_path, kind):
    with tarfile.open(tmp_path / "packed", "w") as archive:
        link = tarfile.TarInfo("a/link.bin")
        link.type = kind
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(UserError, match=r"a/link.bin in .*packed is a link or a special file; pack the files"):
        list(contents(tmp_path / "packed", everything))
    assert list(contents(tmp_path / "packed", lambda name: False)) == []


@pytest.mark.parametrize("ask", [content_hash, lambda *args: list(contents(*args))])
def test_missing(tmp_path, ask):
    with pytest.raises(UserError, match=r"cannot read .*absent: No such file or directory"):
        ask(tmp_path / "absent", everything)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    pack(tmp_path / "packed", "folder")
    (tmp_path / "packed" / "a" / "lost.bin").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"cannot read .*packed/a/lost.bin: No such file or directory"):
        list(contents(tmp_path / "packed", everything))


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    pack(tmp_path / "packed", "folder")
    scandir = os.scandir

    def without_permission(top):
        if Path(top).name == "a":
            raise PermissionError(errno.EACCES, "Permission denied", str(top))
        return scandir(top)

    monkeypatch.setattr(os, "scandir", without_permission)
    with pytest.raises(UserError, match=r"cannot read .*packed/a: Permission denied"):
        list(contents(tmp_path / "packed", everything))


def test_neither_tar_nor_zip(tmp_path):
    (tmp_path / "text").write_text("hello" * 1000)
    with pytest.raises(UserError, match="text is no folder, tar or zip archive"):
        list(contents(tmp_path / "text", everything))


def test_zip_with_a_comment_and_something_behind_it(tmp_path):
    path = pack(tmp_path / "packed", "zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"made by hand"
    path.write_bytes(path.read_bytes() + b"appended")
    assert dict(contents(path, everything)) == FILES


def test_zip_of_more_files_than_its_end_record_can_count(tmp_path):
    whole = pack(tmp_path / "packed", "zip").read_bytes()
    (tmp_path / "packed").write_bytes(whole[:-14] + b"\xff\xff\xff\xff" + whole[-10:])  # both of its counts
    assert dict(contents(tmp_path / "packed", everything)) == FILES


def test_folders_behind_links_are_read(tmp_path):
    pack(tmp_path / "packed", "folder")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "c").symlink_to(tmp_path / "packed" / "a")
    found = dict(contents(tmp_path / "links", everything))
    assert found == {name.replace("a/", "c/"): content for name, content in FILES.items() if name.startswith("a/")}


def test_hash_of_an_archive_is_that_of_its_bytes(tmp_path):
    path = pack(tmp_path / "packed", "tar")
    before = content_hash(path, everything)
    os.utime(path, (0, 0))
    assert content_hash(path, everything) == before
    path.write_bytes(path.read_bytes() + bytes(1))
    assert content_hash(path, everything) != before


def test_hash_of_a_folder_is_that_of_wanted_names_and_contents(tmp_path):
    def without_text(name):
        return not name.endswith(".txt")

    path = pack(tmp_path / "packed", "folder")
    before = content_hash(path, without_text)
    (path / "a" / "note.txt").write_text("not wanted")
    assert content_hash(path, without_text) == before
    (path / "a" / "0.bin").rename(path / "a" / "00.bin")
    renamed = content_hash(path, without_text)
    (path / "a" / "00.bin").write_bytes(b"edited")
    edited = content_hash(path, without_text)
    assert len({before, renamed, edited}) == 3


@pytest.mark.parametrize("target", ["..", "../..", "../a", "."])
def test_a_link_to_a_folder_that_is_read_anyhow(tmp_path, target):
    """Followed, it would multiply the pool until the system's limit on links."""
    pack(tmp_path / "packed", "folder")
    (tmp_path / "packed" / "b" / "up").symlink_to(target)
    with pytest.raises(
        UserError, match=r"packed/b/up leads, by a link, to a folder that is read anyhow: .*; remove it"
    ):
        list(contents(tmp_path / "packed", everything))


def test_two_links_to_one_folder(tmp_path):
    pack(tmp_path / "packed", "folder")
    (tmp_path / "links").mkdir()
    for name in "xy":
        (tmp_path / "links" / name).symlink_to(tmp_path / "packed")
    with pytest.raises(UserError, match=r"links/y leads, by a link, to a folder that is read anyhow: .*packed; remove"):
        list(contents(tmp_path / "links", everything))


def test_a_link_before_the_folder_it_leads_to(tmp_path):
    pack(tmp_path / "packed", "folder")
    (tmp_path / "packed" / "0").symlink_to("b")
    with pytest.raises(UserError, match=r"packed/0 leads, by a link"):
        list(contents(tmp_path / "packed", everything))


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_what_is_no_file_in_a_folder_is_refused_by_name(tmp_path, make):
    pack(tmp_path / "packed", "folder")
    make(tmp_path / "packed" / "a" / "x")
    message = r"packed/a/x(: Too many levels| is a named pipe| is a device \(through a link, /dev/zero\))"
    with pytest.raises(UserError, match=message):
        list(contents(tmp_path / "packed", everything))
    assert len(list(contents(tmp_path / "packed", lambda name: name != "a/x"))) == len(FILES)


@pytest.mark.parametrize("ask", [content_hash, lambda *args: list(contents(*args))])
def test_a_device_is_no_archive(tmp_path, ask):
    with pytest.raises(UserError, match=r"/dev/zero is a device, no file"):
        ask(Path("/dev/zero"), everything)


def test_zip_with_backslashes(tmp_path):
    """As Windows' own tools write them."""
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr("b\\", b"")
        for name, content in FILES.items():
            archive.writestr(name.replace("/", "\\"), content)
    assert dict(contents(tmp_path / "packed", everything)) == FILES


def test_a_backslash_beside_slashes_is_part_of_a_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr("a/b\\c", b"1")
    assert dict(contents(tmp_path / "packed", everything)) == {"a/b\\c": b"1"}


def test_wanted_link_in_a_zip(tmp_path):
    link = zipfile.ZipInfo("a/link.bin")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match=r"a/link.bin in .*packed is a link or a special file; pack the files"):
        list(contents(tmp_path / "packed", everything))


@pytest.mark.parametrize("form", ["folder", "zip", "tar"])
def test_a_file_that_is_too_large(tmp_path, form, monkeypatch):
    monkeypatch.setattr(archive_module, "LARGEST_MEMBER", max(map(len, FILES.values())) - 1)
    with pytest.raises(UserError, match=r"a/5.bin in .*packed is larger than 0 MiB; that is no record of a pool"):
        list(contents(pack(tmp_path / "packed", form), everything))


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb(tmp_path, form, monkeypatch):
    """Refused though nothing in it is wanted: passing over gigabytes takes time as well."""
    monkeypatch.setattr(opened, "SMALL_ENOUGH", 10_000)
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", bytes(2**24))
    else:
        with tarfile.open(tmp_path / "packed", TARS[form]) as archive:
            member = tarfile.TarInfo("zeros")
            member.size = 2**24
            archive.addfile(member, io.BytesIO(bytes(2**24)))
    with pytest.raises(UserError, match=r"packed unpacks to more than .*, over 100 times its size: refused"):
        list(contents(tmp_path / "packed", lambda name: False))


def test_a_zip_that_states_a_size_no_packing_reaches(tmp_path):
    path = pack(tmp_path / "packed", "zip")
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # of the last file, in the directory
    content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged or cut off: the stated size of 'a/5.bin' cannot be"):
        list(contents(path, everything))
