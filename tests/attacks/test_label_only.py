"""Label-only attacks: the changed records of the reference code, what they see, what they learn."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from miabench.attacks.augmentation_agreement import rotated, shifted, shifts
from sklearn.linear_model import LogisticRegression

from miabench import Data, Observed, RecordNoise, create_attack


@pytest.fixture
def linear(golden):
    """The known linear model of golden n: images (n, channels, H, W), labels, how it answers, stored bits."""
    arrays = golden("n_label_only").arrays
    x = torch.tensor(arrays["x_nhwc"]).permute(0, 3, 1, 2).contiguous()
    weight, bias = torch.tensor(arrays["weight"]), torch.tensor(arrays["bias"])

    def ask(x):
        assert x.ndim == 4
        return (x.double().permute(0, 2, 3, 1).reshape(len(x), -1) @ weight + bias).argmax(1)

    return SimpleNamespace(x=x, y=torch.tensor(arrays["labels"]), ask=ask, arrays=arrays)


def bits(attack, linear, noise=None):
    (probe,) = attack.probes()
    assert probe.sees == "label"
    return probe.observe(linear.ask, linear.x, linear.y, noise).numpy()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_shifts_are_those_of_the_reference_code(golden, d):
    stored = golden("n_label_only").arrays[f"translates.d{d}"][1:, 1:3]
    assert sorted(shifts(d)) == sorted(map(tuple, stored.tolist()))


@pytest.mark.parametrize("d", [1, 2])
def test_bits_of_shifts_equal_the_reference_codes(linear, d):
    moves = map(tuple, linear.arrays[f"translates.d{d}"][:, 1:3].tolist())
    stored = dict(zip(moves, linear.arrays[f"bits.translate.d{d}"].T, strict=True))
    found = bits(create_attack("augmentation-agreement", shift=d), linear)
    assert found.shape == (24, 4 * d + 3)
    for column, moved in zip(found.T, [(0, 0), *shifts(d)], strict=False):
        np.testing.assert_array_equal(column, stored[moved], err_msg=str(moved))
    assert not (found[:, 1:2] == found[:, 1 : 4 * d + 1]).all(), "shifts differ"


def test_bits_of_rotations_equal_the_reference_codes(linear):
    angles = linear.arrays["bits.rotate.angles"].tolist()
    for angle in (8.0, 15.0):
        found = bits(create_attack("augmentation-agreement", rotation=angle), linear)[:, -2:]
        stored = linear.arrays["bits.rotate"][:, [angles.index(-angle), angles.index(angle)]]
        np.testing.assert_array_equal(found, stored)


def test_shifts_repeat_the_edge():
    x = torch.arange(9.0).view(1, 1, 3, 3)
    np.testing.assert_array_equal(shifted(x, 1, 0)[0, 0], [[0, 1, 2], [0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(shifted(x, 0, -1)[0, 0], [[1, 2, 2], [4, 5, 5], [7, 8, 8]])


def test_a_rotation_of_a_right_angle_turns_the_image():
    x = torch.randn(2, 3, 8, 8)
    np.testing.assert_allclose(rotated(x, 90.0), torch.rot90(x, 1, (2, 3)), atol=1e-5)


def test_only_images_are_augmented():
    attack = create_attack("augmentation-agreement")
    table = Data(torch.zeros(4, 7), torch.arange(4) % 2, ("a", "b"))
    images = Data(torch.zeros(4, 3, 7, 7), torch.arange(4) % 2, ("a", "b"))
    assert "not images" in attack.unsupported("pool", table, SimpleNamespace())
    assert attack.unsupported("pool", images, SimpleNamespace()) is None


def test_noise_shares_are_what_the_model_answers(linear):
    attack = create_attack("noise-agreement", sigmas=(0.05, 3.0), copies=40)
    found = bits(attack, linear, RecordNoise(linear.x, 0))
    right = (linear.ask(linear.x) == linear.y).numpy()
    np.testing.assert_array_equal(found[:, 0], right)
    distance = linear.arrays["boundary.l2_exact"]
    far, near = distance > np.median(distance[right]), right & (distance < np.median(distance[right]))
    assert found[far, 1].mean() > found[near, 1].mean()
    assert found[right, 1].mean() > 0.9 > found[right, 2].mean()
    drawn = RecordNoise(linear.x, 0)
    slow = np.zeros(24)
    for _ in range(40):
        slow += (linear.ask(linear.x + 3.0 * drawn.normal(*linear.x.shape[1:]).to(linear.x)) == linear.y).numpy() / 40
    np.testing.assert_allclose(found[:, 2], slow, rtol=1e-5)


def test_noise_is_the_records_own(linear):
    """The same record gets the same noise in any batch."""
    (probe,) = create_attack("noise-agreement", sigmas=(0.5,)).probes()
    whole = probe.observe(linear.ask, linear.x, linear.y, RecordNoise(linear.x, 0))
    few = probe.observe(linear.ask, linear.x[5:9], linear.y[5:9], RecordNoise(linear.x[5:9], 0))
    torch.testing.assert_close(whole[5:9], few)


def test_no_noise_is_added_to_tokens():
    attack = create_attack("noise-agreement")
    tokens = Data(torch.zeros(4, 7, dtype=torch.int64), torch.arange(4) % 2, ("a", "b"))
    reals = Data(torch.zeros(4, 7), torch.arange(4) % 2, ("a", "b"))
    assert "integer tokens" in attack.unsupported("pool", tokens, SimpleNamespace())
    assert attack.unsupported("pool", reals, SimpleNamespace()) is None


def agreement(attack, shares, member=None):
    (probe,) = attack.probes()
    n = len(shares)
    return Observed(np.zeros(n, dtype=int), member, 2, {probe: np.asarray(shares, dtype=np.float32)}, {})


@pytest.mark.parametrize("name", ["augmentation-agreement", "noise-agreement"])
def test_weights_are_learnt_on_all_shadows(name):
    """The second share tells members; a logistic regression of all shadows' records finds it."""
    random = np.random.default_rng(0)
    attack = create_attack(name)
    member = np.arange(300) < 150
    shares = [np.stack([random.random(300), random.random(300) * 0.5 + 0.4 * member], 1) for _ in range(2)]
    state = attack.fit([agreement(attack, x, member) for x in shares], torch.Generator())
    expected = LogisticRegression().fit(np.float32(np.concatenate(shares)).astype(float), np.tile(member, 2)).coef_[0]
    np.testing.assert_allclose(state["weights"], expected, rtol=1e-6)
    found = attack.score(agreement(attack, [[0, 1], [1, 0]]), state)
    np.testing.assert_allclose(found, state["weights"][[1, 0]], rtol=1e-6)
    assert found[0] > found[1] + 1
    assert found.dtype == np.float64
    assert attack.access == "label"
