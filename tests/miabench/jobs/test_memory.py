"""What is free is what the machine, or the container, still has."""

import os
import sys

import pytest

from miabench.jobs.executors import memory


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What the system says: files by name, those of the machine in `proc`, those of the container in `group`."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "GROUP", tmp_path / "group")

    def told(**files):
        for name, text in files.items():
            folder, _, file = name.partition("_")
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / file.replace("_", ".")).write_text(text)

    return told


def test_a_machine_alone(told):
    told(proc_meminfo="MemTotal:  9000 kB\nMemAvailable:  3000 kB\n", group_memory_max="max\n")
    assert memory.free() == 3000 * 1024


def test_a_container_may_have_less_and_copies_of_files_give_way(told):
    told(
        proc_meminfo="MemAvailable:  3000 kB\n",
        group_memory_max="2000000",
        group_memory_current="1500000",
        group_memory_stat="anon 900000\ninactive_file 300000\n",
    )
    assert memory.free() == 800_000


def test_nobody_says(told):
    assert memory.free() is None
    assert memory.peak(os.getpid()) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_of_this_process_is_forgotten():
    before = memory.peak(os.getpid())
    block = bytearray(64 * 2**20)
    assert memory.peak(os.getpid()) >= before
    grown = memory.peak(os.getpid())
    del block
    memory.forget_peak(os.getpid())
    assert 0 < memory.peak(os.getpid()) <= grown
