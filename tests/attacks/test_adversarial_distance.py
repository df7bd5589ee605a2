"""Adversarial distances of a known linear model: never too small, near it, each record's own."""

import numpy as np
import pytest
import torch

from miabench import RecordNoise, create_attack

pytest.importorskip("art", reason="needs the extra: pip install 'miabench[boundary]'")


class Linear:
    """The known linear model of golden n, which remembers what it was asked."""

    def __init__(self, arrays, scale=1.0):
        self.x = torch.tensor(arrays["x_nhwc"]).permute(0, 3, 1, 2).contiguous().float()
        self.y = torch.tensor(arrays["labels"])
        self.weight, self.bias = (scale * torch.tensor(arrays[name]).double() for name in ("weight", "bias"))
        self.asked = []

    def __call__(self, x):
        self.asked.append(x.detach())
        logits = x.permute(0, 2, 3, 1).reshape(len(x), -1) @ self.weight.to(x) + self.bias.to(x)
        return logits, None

    def exact(self, dual):
        """Distance (n,) to the nearest half-space of another class, by the norm's dual."""
        with torch.no_grad():
            logits = self(self.x.double())[0]
        distances = []
        for z, label in zip(logits, self.y.tolist(), strict=True):
            others = [c for c in range(len(z)) if c != label]
            slopes = [(self.weight[:, label] - self.weight[:, c]).norm(p=dual) for c in others]
            distances.append(min(max((z[label] - z[c]) / s, 0) for c, s in zip(others, slopes, strict=True)))
        return np.array(distances, dtype=np.float64)


@pytest.fixture
def linear(golden):
    return Linear(golden("n_label_only").arrays)


def distances(linear, rows=slice(None), seed=0, **params):
    (probe,) = create_attack("adversarial-distance", **params).probes()
    x, y = linear.x[rows], linear.y[rows]
    with torch.no_grad():
        answers = probe.observe(linear, x, y, RecordNoise(x, seed))
    assert answers.dtype == torch.float64
    return answers.numpy()


@pytest.mark.parametrize(("norm", "dual"), [("l2", 2), ("l-inf", 1)])
def test_is_the_exact_distance_of_a_linear_model_and_zero_where_it_errs(linear, norm, dual):
    rows = slice(0, 8)
    found, exact = distances(linear, rows, norm=norm), linear.exact(dual)[rows]
    right = exact > 0
    assert not right.all()
    np.testing.assert_array_equal(found > 0, right)
    ratios = found[right] / exact[right]
    assert ratios.min() > 1 - 1e-4
    assert np.median(ratios) < 1.02
    assert ratios.max() < 1.1


def test_the_ratio_of_logits_finds_what_cross_entropy_cannot(golden):
    """Cross entropy of very sure answers has no slope in float32."""
    sure = Linear(golden("n_label_only").arrays, scale=1e4)
    rows = np.flatnonzero(sure.exact(2) > 0.2)[:3]
    np.testing.assert_array_less(distances(sure, rows, norm="l2"), 1.1 * sure.exact(2)[rows])


def test_more_rounds_come_nearer(linear):
    rows = np.flatnonzero(linear.exact(2) > 0)[:6]
    few, many = (distances(linear, rows, norm="l2", rounds=rounds).sum() for rounds in (2, 8))
    assert many < 0.9 * few


def test_a_record_has_one_distance_in_any_batch(linear):
    whole = distances(linear, slice(0, 6), rounds=5)
    np.testing.assert_array_equal(distances(linear, slice(2, 4), rounds=5), whole[2:4])
    assert (distances(linear, slice(0, 6), seed=1, rounds=5) != whole).any()


def test_global_random_numbers_are_left_alone(linear):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    distances(linear, slice(0, 3), rounds=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("classes", [2, 3])
def test_where_nothing_is_classified_otherwise_the_farthest_point_counts(classes):
    x = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    asked = []

    def ask(x):
        asked.append(x.detach())
        return torch.stack([10 + x.sum(1) * 0] + [x.sum(1) * 0] * (classes - 1), 1), None

    (probe,) = create_attack("adversarial-distance", norm="l2", rounds=4, steps=3).probes()
    (found, _) = probe.observe(ask, x, torch.zeros(2, dtype=torch.int64), RecordNoise(x, 0)).tolist()
    moves = [(points - x[0]).norm(dim=1).max().item() for points in asked[1 : len(asked) // 2]]
    assert found == pytest.approx(max(moves), rel=1e-6)
    assert found > 1


def test_two_classes_and_a_network_in_double_precision(golden):
    arrays = golden("n_label_only").arrays
    two = Linear({**arrays, "weight": arrays["weight"][:, :2], "bias": arrays["bias"][:2]})
    two.y = two(two.x)[0].argmax(1)
    two.x = two.x.double()
    two.asked.clear()
    found = distances(two, slice(0, 4), norm="l2")
    np.testing.assert_allclose(found, two.exact(2)[:4], rtol=0.02)
    assert {x.dtype for x in two.asked} == {torch.float64}


def test_asks_the_network_about_few_records_of_each_kind():
    attack = create_attack("adversarial-distance", records=7, steps=9, rounds=3, norm="l2")
    (probe,) = attack.probes()
    assert (attack.access, probe.sees) == ("white-box", "network")
    assert (probe.records, probe.steps, probe.rounds, probe.norm) == (7, 9, 3, "l2")
    np.testing.assert_array_equal(attack.score({probe: np.array([0.0, 2.0])}, {}), [0, 2])
