"""The networks that a training starts from are loaded when they are used, and kept no longer than is asked."""

import gc
import weakref
from collections import Counter

import pytest
from torch import nn

from miabench.training.given import Given


@pytest.fixture
def loaded():
    return Counter()


@pytest.fixture
def given(loaded):
    def load(name):
        loaded[name] += 1
        return nn.Linear(1, 1)

    return Given({"a": lambda: load("a"), "b": lambda: load("b")}, lambda net: loaded.update(["heard"]))


def test_nothing_is_loaded_before_it_is_used(given, loaded):
    assert list(given) == ["a", "b"]
    assert len(given) == 2
    assert "a" in given
    assert "c" not in given
    assert not loaded


def test_what_is_used_is_loaded_once_and_stays_the_same(given, loaded):
    assert given["a"] is given["a"]
    assert loaded == {"a": 1, "heard": 1}


def test_what_is_used_once_is_not_kept(given, loaded):
    first = weakref.ref(given.once("a"))
    gc.collect()
    assert first() is None
    given.once("a")
    assert loaded == {"a": 2, "heard": 2}


def test_what_is_not_given_is_a_key_error(given):
    with pytest.raises(KeyError, match="c"):
        given["c"]
