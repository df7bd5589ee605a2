"""The self-attention attack: its sensitivities, inputs, network and randomness."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from miabench import Data, Logits, Observed, RecordNoise, TrainingError, create_attack

SHORT = {"epochs": 3, "lr": 0.01, "milestones": {}}


def observed(attack, seed, n=60, classes=4):
    """Members' answers are surer and move less."""
    random = np.random.default_rng(seed)
    labels, member = random.integers(classes, size=n), np.arange(n) < n // 2
    logits = random.normal(size=(n, classes))
    logits[np.arange(n), labels] += np.where(member, 5, 1)
    moves = random.random((n, classes)) * np.where(member, 0.2, 1)[:, None]
    _, probe = attack.probes()
    return Observed(labels, member, classes, {Logits(): logits.astype(np.float32), probe: moves.astype(np.float32)}, {})


def test_sensitivity_is_the_mean_change_by_the_noises_size():
    """A slow twin, record by record, of a linear model."""
    random = torch.Generator().manual_seed(0)
    weight, x = torch.randn(6, 3, generator=random).double(), torch.randn(5, 6, generator=random).double()
    _, probe = create_attack("samia", epsilon=0.01, copies=4).probes()
    assert probe.sees == "served"
    found = probe.observe(lambda x: (x @ weight, None), x, torch.zeros(5, dtype=torch.int64), RecordNoise(x, 0))
    for i in range(5):
        noise = RecordNoise(x[i : i + 1], 0)
        p = (x[i] @ weight).exp() / (x[i] @ weight).exp().sum()
        wanted = 0
        for _ in range(4):
            z = ((x[i] + 0.01 * noise.normal(6)[0]) @ weight).exp()
            wanted += (z / z.sum() - p).abs() / 4 / 0.01
        np.testing.assert_allclose(found[i], wanted, rtol=1e-5)


def test_inputs_are_probabilities_sensitivities_and_true_class():
    attack = create_attack("samia")
    seen = observed(attack, 0)
    logits, moves = (seen[probe] for probe in attack.probes())
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    np.testing.assert_allclose(attack.inputs_of(seen), np.hstack([p, moves, np.eye(4)[seen.labels]]), rtol=1e-6)


def attention(x, state, name):
    """One encoder layer on tokens (C, 64), written out: 4 heads, layer norm after each sum."""
    weights = {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
    q, k, v = np.split(x @ weights["query_key_value.weight"].T + weights["query_key_value.bias"], 3, axis=1)
    heads = []
    for at in (slice(16 * h, 16 * h + 16) for h in range(4)):
        shares = np.exp(q[:, at] @ k[:, at].T / 4)
        heads.append(shares / shares.sum(1, keepdims=True) @ v[:, at])
    x = normed(x + np.hstack(heads) @ weights["attended.weight"].T + weights["attended.bias"])
    x = x * weights["first_norm.weight"] + weights["first_norm.bias"]
    inner = gelu(x @ weights["widen.weight"].T + weights["widen.bias"])
    x = normed(x + inner @ weights["narrow.weight"].T + weights["narrow.bias"])
    return x * weights["second_norm.weight"] + weights["second_norm.bias"]


def normed(x):
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)


def gelu(x):
    return F.gelu(torch.from_numpy(x)).numpy()


def test_scores_are_those_of_the_network_written_out():
    attack = create_attack("samia", schedule=SHORT)
    seen = observed(attack, 0)
    state = attack.fit([seen, observed(attack, 1)], torch.Generator().manual_seed(0))
    found, wide = attack.score(seen, state), {key: value.astype(np.float64) for key, value in state.items()}
    for i in (0, 7, 40):
        x = (attack.inputs_of(seen)[i] - wide["norm.running_mean"]) / np.sqrt(wide["norm.running_var"] + 1e-5)
        x = (x * wide["norm.weight"] + wide["norm.bias"]).reshape(3, 4).T
        x = gelu(x @ wide["embed.weight"].T + wide["embed.bias"])
        for layer in range(3):
            x = attention(x, wide, f"layers.{layer}.")
        x = np.maximum(wide["hidden.weight"] @ x.reshape(-1) + wide["hidden.bias"], 0)
        out = wide["out.weight"] @ x + wide["out.bias"]
        assert found[i] == pytest.approx(out[1] - out[0], rel=1e-9)


def test_learns_from_every_shadow_and_another_generator_gives_another_network():
    attack = create_attack("samia", schedule=SHORT)
    shadows = [observed(attack, seed) for seed in range(3)]
    states = [
        attack.fit(given, torch.Generator().manual_seed(seed))["out.weight"]
        for given, seed in ((shadows, 0), (shadows, 0), (shadows[1:], 0), (shadows[:-1], 0), (shadows, 1))
    ]
    np.testing.assert_array_equal(states[0], states[1])
    assert not any(np.array_equal(states[0], other) for other in states[2:])


def test_default_schedule_falls_as_the_authors_after_half_and_three_quarters_in_a_tenth_of_the_epochs():
    schedule = create_attack("samia", schedule={"batch_size": 64}).schedule
    assert [schedule.lr_at(epoch) for epoch in (1, 5, 6, 8, 9)] == [1e-2, 1e-2, 1e-3, 1e-3, 1e-4]
    assert (schedule.epochs, schedule.momentum, schedule.weight_decay, schedule.batch_size) == (10, 0.9, 5e-4, 64)


def test_divergence_is_an_error():
    attack = create_attack("samia", schedule={"epochs": 30, "lr": 1e30, "milestones": {}})
    with pytest.raises(TrainingError, match="attack's network diverged"):
        attack.fit([observed(attack, 0)], torch.Generator().manual_seed(0))


def test_no_noise_is_added_to_tokens():
    tokens = Data(torch.zeros(4, 7, dtype=torch.int64), torch.arange(4) % 2, ("a", "b"))
    assert "integer tokens" in create_attack("samia").unsupported("pool", tokens, SimpleNamespace())
