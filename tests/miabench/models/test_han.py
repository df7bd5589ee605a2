"""HAN equals the reference at full length, and its own formulas otherwise; padding changes nothing."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from miabench import Domain
from miabench.plugins.discover import discover
from miabench.seeds import global_stream

VOCABULARY = 30


def build(num_classes=10, embedding=None, **params):
    if embedding is None:
        embedding = torch.randn(VOCABULARY, 50, generator=torch.Generator().manual_seed(2))
    with global_stream(0, "weights"):
        return model(**params).build(Domain((4, 6), num_classes, len(embedding), embedding))


def model(**params):
    return discover().get("model", "han").build(params)


def documents():
    """Token ids (5, 4, 6): documents of one sentence and of four, sentences of one word and of six."""
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(1, VOCABULARY, (5, 4, 6), generator=generator)
    lengths = torch.randint(1, 7, (5, 4), generator=generator)
    lengths[0, 1:] = 0
    lengths[1] = torch.tensor([6, 1, 2, 6])
    lengths[2, 2:] = 0
    return ids * (torch.arange(6) < lengths[..., None])


def test_golden(golden):
    entry = golden("h_models_schedules").json["han"]
    zeros = torch.zeros(2, 50)  # padding and unknown are one id in the reference, and a word as any other
    net = build(entry["num_classes"], torch.cat([zeros, torch.tensor(entry["glove_rows"])]))
    shapes = [shape for _, shape, trained in entry["param_shapes"] if trained]
    assert [list(p.shape) for p in net.parameters()] == shapes
    assert sum(p.numel() for p in net.parameters()) == entry["params_trainable"] == 97_610
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            wave = torch.sin(0.7 * torch.arange(p.numel(), dtype=torch.float64) + k).view_as(p)
            p.copy_(wave * (0.3 if p.ndim > 1 else 0.1))
        logits, features = net(torch.tensor(entry["ids"]) + 1)
    np.testing.assert_allclose(logits, entry["logits"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features, entry["features"], rtol=1e-4, atol=1e-5)


def gru(cell, direction, xs):
    """States (T, 50) of one direction over xs (T, E), by PyTorch's documented equations."""
    w_i, w_h, b_i, b_h = (
        getattr(cell, f"{name}_l0{direction}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h, states = torch.zeros(50, dtype=torch.float64), []
    for x in xs.flip(0) if direction else xs:
        i_r, i_z, i_n = (w_i @ x + b_i).chunk(3)
        h_r, h_z, h_n = (w_h @ h + b_h).chunk(3)
        r, z = (i_r + h_r).sigmoid(), (i_z + h_z).sigmoid()
        h = (1 - z) * (i_n + r * h_n).tanh() + z * h
        states.append(h)
    return torch.stack(states).flip(0) if direction else torch.stack(states)


def attended(level, xs):
    states = torch.cat([gru(level.gru, "", xs), gru(level.gru, "_reverse", xs)], 1)
    scores = [level.context[:, 0] @ (level.linear.weight @ h + level.linear.bias).tanh() for h in states]
    return sum(weight * h for weight, h in zip(torch.stack(scores).softmax(0), states, strict=True))


@torch.no_grad()
def test_equals_a_loop_over_documents_and_sentences():
    net = build().double()
    logits, features = net(documents())
    for ids, feature, logit in zip(documents(), features, logits, strict=True):
        sentences = [
            attended(net.encoder.words, net.encoder.embedding[sentence[sentence > 0]])
            for sentence in ids
            if sentence.any()
        ]
        expected = attended(net.encoder.sentences, torch.stack(sentences))
        torch.testing.assert_close(feature, expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(logit, net.head(expected), rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_padding_changes_nothing():
    net, ids = build(), documents()
    wider = F.pad(ids, (0, 5, 0, 3))
    for narrow, wide in zip(net(ids), net(wider), strict=True):
        assert narrow.equal(wide)
    net.encoder.embedding[0] = 1e6
    assert net(wider)[0].equal(net(ids)[0])
    assert net(ids)[0].isfinite().all()


@torch.no_grad()
def test_sentences_without_words_are_skipped():
    net, ids = build(), documents()
    spread = torch.zeros(5, 7, 6, dtype=torch.int64)
    spread[:, [1, 2, 4, 6]] = ids
    assert net(spread)[0].equal(net(ids)[0])


@torch.no_grad()
def test_unknown_is_not_padding_and_order_matters():
    net = build()
    ids = torch.tensor([[[2, 3, 1], [4, 0, 0]], [[2, 3, 0], [4, 0, 0]], [[3, 2, 0], [4, 0, 0]], [[4, 0, 0], [2, 3, 0]]])
    assert len({tuple(logits) for logits in net(ids)[0].tolist()}) == 4


def test_padding_gets_no_gradient():
    net = build(train_embedding=True)
    net(documents())[0].square().sum().backward()
    used = sorted(set(documents().flatten().tolist()) - {0})
    assert net.encoder.embedding.grad.abs().sum(1).nonzero().flatten().tolist() == used


def test_vectors_are_frozen_and_not_stored_unless_they_are_learnt():
    embedding = torch.randn(VOCABULARY, 50)
    frozen, learnt = build(embedding=embedding), build(embedding=embedding, train_embedding=True)
    assert not any("embedding" in name for name in frozen.state_dict())
    assert not any("embedding" in name for name, _ in frozen.named_parameters())
    assert learnt.state_dict()["encoder.embedding"].equal(embedding)
    assert sum(p.numel() for p in learnt.parameters()) == 97_610 + VOCABULARY * 50
    before = embedding.clone()
    step = torch.optim.SGD(learnt.parameters(), lr=1.0)
    learnt(documents())[0].square().sum().backward()
    step.step()
    assert not learnt.encoder.embedding.equal(before)
    assert embedding.equal(before)  # the dataset's own


def test_vectors_of_any_length():
    logits, features = build(num_classes=3, embedding=torch.randn(VOCABULARY, 7))(documents())
    assert (logits.shape, features.shape) == ((5, 3), (5, 100))


def test_context_vectors_start_within_the_bounds_of_the_docstring():
    encoder = build().encoder
    for level, bound in ((encoder.words, 0.25), (encoder.sentences, 0.1)):
        assert level.context.abs().max() <= bound
        spread = 6 * bound**2 * math.sqrt(4 / 45 / 100)  # the variance of one u^2 is bound^4 * 4/45
        assert level.context.square().mean().item() == pytest.approx(bound**2 / 3, abs=spread)
        for name, weight in level.gru.named_parameters():
            assert 0.9 / math.sqrt(50) < weight.abs().max() <= 1 / math.sqrt(50), name


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        (
            Domain((3, 32, 32), 10),
            "it takes documents as token ids (sentences x words), but these records are numbers (3 x 32 x 32)",
        ),
        (
            Domain((40,), 10, 5, torch.zeros(5, 50)),
            "it takes documents as token ids (sentences x words), but these records are token ids (40)",
        ),
        (Domain((10, 40), 10, 5), "it needs a vector for every token, but the dataset gives none (Data.embedding)"),
        (Domain((10, 40), 10, 5, torch.zeros(5, 50)), None),
    ],
)
def test_says_why_not(domain, reason):
    assert model().unsupported(domain) == reason
