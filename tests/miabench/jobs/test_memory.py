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


def test_a_container_of_the_older_version_says_it_in_other_files(told, tmp_path):
    told(proc_meminfo="MemAvailable:  3000 kB\n")
    group = tmp_path / "group" / "memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("2000000\n")
    (group / "memory.usage_in_bytes").write_text("1500000\n")
    (group / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 300000\n")
    assert memory.free() == 800_000
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory.free() == 3000 * 1024, "there is no limit"


@pytest.mark.parametrize(
    ("line", "room", "limit", "used"),
    [
        ("4:cpuset,memory:/cluster/job/step", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ("0::/cluster/job/step", "", "memory.max", "memory.current"),
    ],
)
def test_the_job_of_a_cluster_has_the_least_that_its_groups_leave(told, tmp_path, line, room, limit, used):
    told(proc_meminfo="MemAvailable:  3000 kB\n")
    (tmp_path / "proc" / "self").mkdir()
    (tmp_path / "proc" / "self" / "cgroup").write_text(f"7:blkio:/elsewhere\n{line}\n")
    sizes = {"elsewhere": 1, "cluster/other": 2, "cluster/job/step": 800_000, "cluster/job": 700_000, "cluster": 10**6}
    for name, size in sizes.items():
        group = tmp_path / "group" / room / name
        group.mkdir(parents=True, exist_ok=True)
        (group / limit).write_text(str(size))
        (group / used).write_text("0")
    assert memory.free() == 700_000


def test_a_group_that_lies_outside_of_what_is_seen_is_not_looked_for(told, tmp_path):
    told(proc_meminfo="MemAvailable:  3000 kB\n", group_memory_max="2000000", group_memory_current="0")
    (tmp_path / "proc" / "self").mkdir()
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/../../outside\n")
    assert memory.free() == 2_000_000


def test_nobody_says(told):
    assert memory.free() is None
    assert memory.peak(os.getpid()) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_of_this_process_is_forgotten():
    before = memory.peak(os.getpid())
    block = bytearray(b"x") * 2**28  # of pages that are written
    grown = memory.peak(os.getpid())
    assert grown >= before
    assert grown >= len(block)
    del block
    memory.forget_peak(os.getpid())
    assert 0 < memory.peak(os.getpid()) <= grown - 2**27
