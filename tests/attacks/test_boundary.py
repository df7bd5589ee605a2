"""Distances to the boundary of a known linear model: never too small, near with many queries, within the budget."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from miabench import RecordNoise, create_attack

pytest.importorskip("art", reason="needs the extra: pip install 'miabench[boundary]'")


@pytest.fixture
def linear(golden):
    """The known linear model of golden n, which counts its queries."""
    arrays = golden("n_label_only").arrays
    x = torch.tensor(arrays["x_nhwc"]).permute(0, 3, 1, 2).contiguous().float()
    weight, bias = torch.tensor(arrays["weight"]).float(), torch.tensor(arrays["bias"]).float()
    asked = []

    def ask(x):
        asked.append(x)
        return (x.permute(0, 2, 3, 1).reshape(len(x), -1) @ weight + bias).argmax(1)

    return SimpleNamespace(
        x=x, y=torch.tensor(arrays["labels"]), ask=ask, asked=asked, exact=arrays["boundary.l2_exact"], arrays=arrays
    )


def distances(linear, rows=slice(None), seed=0, **params):
    (probe,) = create_attack("boundary", **params).probes()
    x, y = linear.x[rows], linear.y[rows]
    answers = probe.observe(linear.ask, x, y, RecordNoise(x, seed))
    assert answers.dtype == torch.float64
    return answers.numpy()


def test_is_zero_where_the_record_is_misclassified(linear):
    found = distances(linear, queries=100)
    assert (linear.exact == 0).any()
    np.testing.assert_array_equal(found == 0, linear.exact == 0)


@pytest.mark.parametrize(("queries", "ratio"), [(150, 2.2), (850, 1.25)])
def test_is_near_the_exact_distance_and_never_below(linear, queries, ratio):
    found = distances(linear, queries=queries)
    right = linear.exact > 0
    ratios = found[right] / linear.exact[right]
    assert ratios.min() > 1 - 1e-4
    assert np.median(ratios) < ratio
    assert np.corrcoef(found[right], linear.exact[right])[0, 1] > 0.95


def test_keeps_to_the_budget_of_each_record(linear):
    right = np.flatnonzero(linear.exact > 0)[:2]
    for row in right:
        linear.asked.clear()
        distances(linear, [row], queries=333)
        assert sum(len(x) for x in linear.asked) == 333


def test_a_record_has_one_distance_in_any_batch(linear):
    whole = distances(linear, slice(0, 6), queries=100)
    np.testing.assert_array_equal(distances(linear, slice(2, 4), queries=100), whole[2:4])
    np.testing.assert_array_equal(distances(linear, slice(0, 6), queries=100), whole)
    assert (distances(linear, slice(0, 6), queries=100, seed=1) != whole).any()


def test_global_random_numbers_are_left_alone(linear):
    before = np.random.get_state()[1].copy()
    distances(linear, slice(0, 3), queries=100)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_where_nothing_is_classified_otherwise_the_farthest_point_counts():
    (probe,) = create_attack("boundary", queries=60).probes()
    x = torch.randn(3, 5)
    asked = []

    def ask(x):
        asked.append(x)
        return torch.ones(len(x), dtype=torch.int64)

    found = probe.observe(ask, x, torch.ones(3, dtype=torch.int64), RecordNoise(x, 0)).numpy()
    assert np.isfinite(found).all()
    first = torch.cat(asked[1 : 1 + 50])
    assert found[0] == pytest.approx(torch.linalg.vector_norm(first - x[0], dim=1).max().item(), rel=1e-6)


def test_a_constant_record_has_a_neighbourhood(linear):
    x = torch.zeros(1, 2, 6, 6)
    (probe,) = create_attack("boundary", queries=100).probes()
    found = probe.observe(linear.ask, x, linear.ask(x), RecordNoise(x, 0))
    assert 0 < found.item() < np.inf


def test_scores_few_records_of_each_kind_by_labels_alone():
    attack = create_attack("boundary")
    (probe,) = attack.probes()
    assert (attack.access, probe.sees, probe.queries, probe.records) == ("label", "label", 850, 200)
    (few,) = create_attack("boundary", records=7, queries=99).probes()
    assert (few.records, few.queries) == (7, 99)
    np.testing.assert_array_equal(attack.score({probe: np.array([0.0, 2.0])}, {}), [0, 2])
