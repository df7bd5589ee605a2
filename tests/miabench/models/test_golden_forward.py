"""Forward passes equal the reference code's; where there is none, a plain retelling of the paper."""

import hashlib
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import miabench

GOLDEN_NAMES = {
    "vgg11": "vgg11_bn",
    "resnet18": "resnet18_c10",
    "densenet121": "densenet121_c10",
    "googlenet": "googlenet_c100",
}
EXACT = {"rtol": 1e-8, "atol": 1e-12}


@pytest.fixture(params=GOLDEN_NAMES)
def reference(request, golden):
    """A model's network and what the reference's looks like and answers."""
    entry = golden("h_models_schedules").json["models"][GOLDEN_NAMES[request.param]]
    net = miabench.create_model(request.param, num_classes=entry["num_classes"])
    if request.param == "googlenet":
        for module in net.modules():
            if hasattr(module, "branch3"):
                norm = module.branch3[1][1]
                norm.eps = norm.num_features  # the reference's accident
    return net, entry


def test_shapes_and_order_of_parameters(reference):
    net, entry = reference
    shapes = [list(p.shape) for p in net.parameters()]
    assert sum(p.numel() for p in net.parameters()) == entry["params"]
    assert len(shapes) == entry["n_tensors"]
    assert net.feature_dim == entry["feature_dim"]
    assert hashlib.sha256(json.dumps(shapes).encode()).hexdigest() == entry["conv_shapes_digest"]


def test_forward(reference, by_weight_rule, images):
    net, entry = reference
    with torch.no_grad():
        logits, features = by_weight_rule(net)(images)
    np.testing.assert_allclose(logits[:, :10], entry["logits"], **EXACT)
    np.testing.assert_allclose(features[:, :6], entry["features_first6"], **EXACT)
    np.testing.assert_allclose(features.norm(dim=1), entry["feature_l2"], **EXACT)


def layers(net, kind):
    """An iterator over a network's layers of one kind, in order, to be used up."""
    return iter([module for module in net.modules() if isinstance(module, kind)])


def strides(net):
    return [module.stride[0] for module in layers(net, nn.Conv2d)]


@torch.no_grad()
def test_resnet20_as_in_the_paper(by_weight_rule, images):
    net = by_weight_rule(miabench.create_model("resnet20", num_classes=10))
    conv, norm = layers(net, nn.Conv2d), layers(net, nn.BatchNorm2d)
    h = F.relu(next(norm)(next(conv)(images)))
    for _block in range(9):
        residual = next(norm)(next(conv)(h))
        residual = next(norm)(next(conv)(F.relu(residual)))
        shortcut = torch.zeros_like(residual)
        step = h.shape[2] // residual.shape[2]
        shortcut[:, : h.shape[1]] = h[:, :, ::step, ::step]
        h = F.relu(residual + shortcut)
    assert h.shape == (2, 64, 8, 8)
    assert next(conv, None) is None
    assert strides(net) == [1] + 6 * [1] + [2] + 5 * [1] + [2] + 5 * [1]
    np.testing.assert_allclose(net(images)[1], h.mean((2, 3)), **EXACT)


@torch.no_grad()
def test_wrn28_2_as_in_the_paper(by_weight_rule, images):
    net = by_weight_rule(miabench.create_model("wrn28-2", num_classes=10))
    conv, norm = layers(net, nn.Conv2d), layers(net, nn.BatchNorm2d)
    h = next(conv)(images)
    for block in range(12):
        active = F.relu(next(norm)(h))
        residual = next(conv)(active)
        residual = next(conv)(F.relu(next(norm)(residual)))
        h = residual + (next(conv)(active) if block % 4 == 0 else h)
    h = F.relu(next(norm)(h))
    assert h.shape == (2, 128, 8, 8)
    assert next(conv, None) is None
    # a widening block's shortcut comes third, with its first convolution's stride
    assert strides(net) == [1] + [1, 1, 1] + 6 * [1] + [2, 1, 2] + 6 * [1] + [2, 1, 2] + 6 * [1]
    np.testing.assert_allclose(net(images)[1], h.mean((2, 3)), **EXACT)


@torch.no_grad()
def test_cnn_as_its_docstring_says(by_weight_rule, images):
    net = by_weight_rule(miabench.create_model("cnn", num_classes=10))
    conv, norm = layers(net, nn.Conv2d), layers(net, nn.BatchNorm2d)
    h = images
    for width in (16, 32, 64, 128):
        h = F.relu(next(norm)(next(conv)(h)))
        assert h.shape[1] == width
        h = F.max_pool2d(h, 2) if width < 128 else h
    assert h.shape == (2, 128, 4, 4)
    np.testing.assert_allclose(net(images)[1], h.mean((2, 3)), **EXACT)


@torch.no_grad()
def test_mlp_by_hand():
    net = miabench.create_model("mlp", num_classes=2, input_shape=(2,), hidden=(2,))
    linear = layers(net, nn.Linear)
    next(linear).load_state_dict({"weight": torch.tensor([[1.0, 2.0], [-1.0, 1.0]]), "bias": torch.tensor([0.5, 0.0])})
    next(linear).load_state_dict({"weight": torch.tensor([[3.0, 1.0], [1.0, 5.0]]), "bias": torch.tensor([0.0, 1.0])})
    logits, features = net(torch.tensor([[1.0, -1.0], [1.0, 2.0]]))
    assert features.tolist() == [[0.0, 0.0], [5.5, 1.0]]
    assert logits.tolist() == [[0.0, 1.0], [17.5, 11.5]]
