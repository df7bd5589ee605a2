"""What glibc is told, of any version; that memory is kept then is seen in `test_seat.py`."""

import sys

import pytest

from miabench.jobs import heap

MMAP, TRIM = heap.MMAP_THRESHOLD, heap.TRIM_THRESHOLD


@pytest.fixture
def told(monkeypatch):
    """What glibc is told, if it takes thresholds of blocks of at most so many bytes."""
    for name in heap.CHOSEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")

    def told(largest):
        calls = []

        def call(name, *values):
            taken = values[0] != MMAP or values[1] <= largest
            calls.append((*values, taken) if name == "mallopt" else name)
            return int(taken)

        monkeypatch.setattr(heap, "_call", call)
        with heap.kept():
            begun = list(calls)
        return begun, calls[len(begun) :]

    return told


AFTER = [(MMAP, heap.USUAL, True), (TRIM, 2 * heap.USUAL, True), "malloc_trim"]


def test_blocks_of_any_size_are_kept(told):
    assert told(2**40) == ([(MMAP, heap.MOST, True), (TRIM, heap.MOST, True)], AFTER)


def test_versions_that_keep_none_above_32_mib_keep_those_below(told):
    assert told(2**25) == ([(MMAP, heap.MOST, False), (MMAP, 2**25, True), (TRIM, heap.MOST, True)], AFTER)


def test_where_it_refuses_nothing_is_changed(told):
    """A threshold of its own would stay where it is."""
    assert told(0) == ([(MMAP, heap.MOST, False), (MMAP, 2**25, False)], [(MMAP, 2**25, False)])


@pytest.mark.parametrize("name", heap.CHOSEN)
def test_what_somebody_chose_stays(told, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert told(2**40) == ([], [])


def test_a_library_without_these_functions():
    assert heap._call("no_such_function_of_glibc", 0) == 0
