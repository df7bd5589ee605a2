"""Our own npz files are read as NumPy reads them; what does not hold what it says is refused."""

import io
import mmap
import zipfile

import numpy as np
import pytest

import miabench
from miabench.files import npz
from miabench.files.npz import read_npz, write_npz

ARRAYS = {
    "scores": np.linspace(0, 1, 7),
    "columns": np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
    "names": np.array(["a", "ßeta"]),
    "swapped": np.arange(5, dtype=">i4"),
    "pairs": np.array([(1, 2.5)], dtype=[("é", "i8"), ("b", "f4")]),  # a name that needs a header of version 3
    "single": np.array(3.5),
    "none": np.empty((0, 4)),
}


@pytest.mark.parametrize("piece", [1, 5, 2**20])
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_arrays_are_those_that_numpy_reads(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(npz, "PIECE", piece)
    write_npz(tmp_path / "a.npz", ARRAYS)
    got = read_npz(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as expected:
        assert list(got) == expected.files
        for name, array in got.items():
            assert array.dtype == expected[name].dtype
            assert array.flags.f_contiguous == expected[name].flags.f_contiguous
            assert array.flags.writeable
            np.testing.assert_array_equal(array, expected[name])


def test_only_the_arrays_that_are_named_are_read(tmp_path):
    write_npz(tmp_path / "a.npz", {"a": np.arange(3), "b": np.arange(4)})
    assert {name: array.tolist() for name, array in read_npz(tmp_path / "a.npz", "b").items()} == {"b": [0, 1, 2, 3]}
    with pytest.raises(miabench.UserError, match=r"a\.npz holds no array 'c', only a, b"):
        read_npz(tmp_path / "a.npz", "b", "c")


def test_every_flipped_byte_of_the_numbers_is_found(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, {"a": np.arange(4.0)})
    whole = path.read_bytes()
    begin = whole.index(np.arange(4.0).tobytes())
    for at in range(begin, begin + 32):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(miabench.UserError, match="Bad CRC-32"):
            read_npz(path)


def test_an_array_that_is_shorter_than_its_entry_claims_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (4,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(24))
        archive.writestr("b.npy", header.getvalue() + bytes(32))
    with pytest.raises(miabench.UserError, match=r"the array 'a' is cut off"):
        read_npz(tmp_path / "a.npz", "a")


def test_mapped_arrays_are_the_same_and_only_those_that_are_read_are_loaded(tmp_path):
    path = tmp_path / "arrays.npz"
    write_npz(path, ARRAYS)
    content = path.read_bytes()
    found = read_npz(path, mapped=True)
    for name, array in read_npz(path).items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
    assert [name for name, array in found.items() if not is_mapped(array)] == ["none"]
    found["scores"][0] = 99  # this process's own
    assert path.read_bytes() == content
    assert read_npz(path, "scores", mapped=True)["scores"][0] == 0


def is_mapped(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


def test_what_is_compressed_is_not_mapped(tmp_path):
    np.savez_compressed(tmp_path / "arrays.npz", x=np.random.default_rng(0).bytes(50))
    with pytest.raises(miabench.UserError, match=r"x.npy is compressed"):
        read_npz(tmp_path / "arrays.npz", mapped=True)


def test_of_mapped_arrays_too_rows_are_counted(tmp_path):
    write_npz(tmp_path / "arrays.npz", ARRAYS)
    with pytest.raises(miabench.UserError, match=r"'scores' has shape \(7,\); expected 4 rows"):
        read_npz(tmp_path / "arrays.npz", "scores", rows=4, mapped=True)
