"""Arrays are computed once, and what a crash leaves behind is never taken for them."""

import mmap
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from miabench.files.array_cache import cached_arrays

ARRAYS = {"x": np.arange(1000, dtype=np.uint8).reshape(10, -1), "names": np.array(["a", "bé"])}

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
import numpy as np
from miabench.files import array_cache

def half(file, arrays):
    file.write_bytes(b"PK half of the file")
    os.kill(os.getpid(), signal.SIGKILL)

array_cache.write_npz = half
array_cache.cached_arrays(Path(sys.argv[1]), lambda: {"x": np.zeros(3)})
"""


def never():
    raise AssertionError("computed again")


def assert_arrays(arrays):
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_computed_once(tmp_path):
    assert_arrays(cached_arrays(tmp_path / "kept", lambda: ARRAYS))
    assert_arrays(cached_arrays(tmp_path / "kept", never))


def test_another_folder_is_computed_on_its_own(tmp_path):
    cached_arrays(tmp_path / "kept", lambda: {"x": np.zeros(1)})
    assert_arrays(cached_arrays(tmp_path / "other", lambda: ARRAYS))


@pytest.mark.parametrize("file", ["arrays.npz", "arrays.npz.sha256"])
def test_damaged_by_one_byte_is_computed_again(tmp_path, file):
    cached_arrays(tmp_path / "kept", lambda: ARRAYS)
    path = tmp_path / "kept" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert_arrays(cached_arrays(tmp_path / "kept", lambda: ARRAYS))
    assert_arrays(cached_arrays(tmp_path / "kept", never))


@pytest.mark.parametrize("file", ["arrays.npz", "arrays.npz.sha256"])
def test_missing_file_is_computed_again(tmp_path, file):
    cached_arrays(tmp_path / "kept", lambda: ARRAYS)
    (tmp_path / "kept" / file).unlink()
    assert_arrays(cached_arrays(tmp_path / "kept", lambda: ARRAYS))


def test_killed_while_writing(tmp_path):
    killed = subprocess.run([sys.executable, "-P", "-c", KILLED_WHILE_WRITING, str(tmp_path / "kept")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any(path.suffix == ".tmp" for path in tmp_path.iterdir())
    assert_arrays(cached_arrays(tmp_path / "kept", lambda: ARRAYS))
    assert not any(path.suffix == ".tmp" for path in tmp_path.iterdir())


def test_interrupted_computation_leaves_nothing(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_arrays(tmp_path / "kept", interrupted)
    assert not (tmp_path / "kept").exists()
    assert_arrays(cached_arrays(tmp_path / "kept", lambda: ARRAYS))


def test_one_computes_while_the_others_wait(tmp_path):
    computed = []

    def slowly():
        computed.append(True)
        time.sleep(0.05)
        return ARRAYS

    with ThreadPoolExecutor(4) as pool:
        for arrays in pool.map(lambda _: cached_arrays(tmp_path / "kept", slowly), range(4)):
            assert_arrays(arrays)
    assert len(computed) == 1


def test_what_is_kept_is_mapped_and_never_changed(tmp_path):
    """Processes share the pages of a pool; torch wants words in their places."""
    cached_arrays(tmp_path / "kept", lambda: ARRAYS | {"y": np.arange(5)})
    kept = cached_arrays(tmp_path / "kept", never)
    assert all(array.flags.aligned for array in kept.values())
    base = kept["x"]
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    kept["x"][:] = 0
    assert_arrays({name: array for name, array in cached_arrays(tmp_path / "kept", never).items() if name != "y"})
