"""How many references records are compared with, counted by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from miabench.evaluation.references import ReferenceCounts, count_references
from miabench.plugins.attack import Observed

# Three references on four records; the last record was withheld from the third reference: neither in nor out of it.
IN = np.array([[1, 0, 0, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
OUT = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [0, 1, 1, 0]], dtype=bool)


def observed(inside=IN, outside=OUT):
    return Observed(np.zeros(4, np.int64), None, 1, {}, {}, reference_in=inside, reference_out=outside)


def attack(references):
    return SimpleNamespace(references=references)


def test_counts_are_means_over_records():
    """IN 3, 1, 0 and 1; OUT 0, 2, 3 and 1. Of two shadows, one with every reference out."""
    shadows = [observed(), observed(np.zeros((3, 4), bool), np.ones((3, 4), bool))]
    found = count_references(attack("out"), observed(), shadows)
    assert found == ReferenceCounts(5 / 4, 6 / 4, 5 / 8, 18 / 8, lacking=1)


@pytest.mark.parametrize(("references", "lacking"), [("out", 1), ("in+out", 2), ("any", 2)])
def test_a_record_lacks_a_kind_that_the_attack_compares_with(references, lacking):
    """Record 0 is in every reference, record 2 in none."""
    assert count_references(attack(references), observed(), []).lacking == lacking


@pytest.mark.parametrize("references", ["in+out", "any"])
def test_where_no_reference_is_in_the_attack_compares_with_those_outside_alone(references):
    none = np.zeros((3, 4), bool)
    assert count_references(attack(references), observed(none, ~none), []).lacking == 0


def test_without_references_or_with_shadows_whatever_they_trained_on_there_is_no_count():
    assert count_references(attack("out"), observed(None, None), []) is None
    assert count_references(attack("shadows"), observed(), []) is None


@pytest.mark.parametrize(("out", "enough"), [(1.9, False), (2.0, True)])
def test_thresholds_take_two_references_outside_on_average(out, enough):
    assert ReferenceCounts(8, 8, shadows_in=9, shadows_out=out, lacking=0).calibrate == enough
    assert not ReferenceCounts(8, 8, shadows_in=9, shadows_out=0, lacking=0).calibrate
