"""What is kept of a store: read once while there is room, and never more than that."""

import numpy as np

from miabench.evaluation.scores import TargetValues
from miabench.results.kept import Kept

N = 10
BYTES = N * (8 + 1 + 8 + 8)  # of one run


def asked(kept, *keys):
    """Which keys were read, in the order in which they were asked for."""
    read = []
    run = TargetValues(np.zeros(N), np.zeros(N, dtype=bool), np.zeros(N, dtype=np.int64), np.arange(N))
    for key in keys:
        found = kept.get(key, lambda key=key: read.append(key) or {0: run})
        assert found == {0: run}
    return read


def test_what_is_asked_for_again_is_not_read_again():
    assert asked(Kept(2 * BYTES), "a", "b", "a", "b") == ["a", "b"]


def test_what_finds_no_room_is_read_anew_and_what_came_first_stays():
    assert asked(Kept(2 * BYTES), "a", "b", "c", "a", "b", "c") == ["a", "b", "c", "c"]
    assert asked(Kept(BYTES - 1), "a", "a") == ["a", "a"]
