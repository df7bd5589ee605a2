"""Baselines equal the reference code in values and gradients, in float64; the ablations equal crl."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses import advreg
from miabench.defenses._distillation import distillation_loss, lowest_entropy
from torch import nn

import miabench
from miabench.data import Data
from miabench.network import Classifier
from miabench.schedule import Schedule
from miabench.training import Setting, Task

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "b_losses.json").read_text())["cases"]
CRL_CASES = json.loads((GOLDEN / "a_crl_loss.json").read_text())["cases"]
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def cases(name):
    """Parametrizes a test over the golden cases of one loss."""
    found = [case for case in CASES if case["name"] == name]
    assert found
    return pytest.mark.parametrize("case", found, ids=lambda case: case["key"])


@pytest.fixture(scope="module")
def arrays(golden):
    return golden("b_losses").arrays


@cases("label_smoothing")
def test_label_smoothing(arrays, evaluate, case):
    defense = miabench.create_defense("label-smoothing", epsilon=case["params"]["epsilon"])
    loss, logits, features = evaluate(defense.criterion(0, 0), arrays, case)
    np.testing.assert_allclose(loss, case["loss"], **EXACT)
    np.testing.assert_allclose(logits.grad, arrays[f"{case['key']}.g_logits"], **EXACT)
    assert features.grad is None


@cases("confidence_penalty")
def test_confidence_penalty(arrays, evaluate, case):
    defense = miabench.create_defense("confidence-penalty", beta=case["params"]["alpha"])
    loss, logits, features = evaluate(defense.criterion(0, 0), arrays, case)
    np.testing.assert_allclose(loss, case["loss"], **EXACT)
    np.testing.assert_allclose(logits.grad, arrays[f"{case['key']}.g_logits"], **EXACT)
    assert features.grad is None


@cases("ce_plus_center_loss")
def test_center_loss(arrays, evaluate, case):
    defense = miabench.create_defense("center-loss", lambda_ct=case["params"]["lambda"], centers="wen")
    criterion = defense.criterion(*arrays[f"{case['inputs']}.centers"].shape)
    loss, logits, features = evaluate(criterion, arrays, case)
    key = case["key"]
    np.testing.assert_allclose(loss, case["loss"], **EXACT)
    np.testing.assert_allclose(logits.grad, arrays[f"{key}.g_logits"], **EXACT)
    np.testing.assert_allclose(features.grad, arrays[f"{key}.g_features"], **EXACT)
    np.testing.assert_allclose(criterion.centers.grad, arrays[f"{key}.g_centers"], **EXACT)


@cases("center_loss_wen")
def test_center_loss_without_ce(arrays, evaluate, case):
    """At lambda = 1 what is left after CE is the center loss."""
    criterion = miabench.create_defense("center-loss", lambda_ct=1.0, centers="wen").criterion(
        *arrays[f"{case['inputs']}.centers"].shape
    )
    loss, _, features = evaluate(criterion, arrays, case)
    ce, _, _ = evaluate(miabench.create_defense("ce").criterion(0, 0), arrays, case)
    np.testing.assert_allclose(loss - ce, case["loss"], **EXACT)
    np.testing.assert_allclose(features.grad, arrays[f"{case['key']}.g_features"], **EXACT)
    np.testing.assert_allclose(criterion.centers.grad, arrays[f"{case['key']}.g_centers"], **EXACT)


@cases("ce_plus_center_loss")
def test_centers_move_along_the_gradient_by_default(arrays, evaluate, case):
    """Slow twin: sum over the class of lambda * (c_y - q) / B, where the other mode has neither lambda nor that sum."""
    params, inputs = case["params"], case["inputs"]
    centers = arrays[f"{inputs}.centers"]
    criterion = miabench.create_defense("center-loss", lambda_ct=params["lambda"]).criterion(*centers.shape)
    loss, _, features = evaluate(criterion, arrays, case)
    expected = np.zeros_like(centers)
    for q, y in zip(arrays[f"{inputs}.features"], arrays[f"{inputs}.labels"], strict=True):
        expected[y] += params["lambda"] * (centers[y] - q) / len(features)
    np.testing.assert_allclose(loss, case["loss"], **EXACT)
    np.testing.assert_allclose(features.grad, arrays[f"{case['key']}.g_features"], **EXACT)
    np.testing.assert_allclose(criterion.centers.grad, expected, **EXACT)


# --- the ablations of Table 2 ---


def crl_with(case, **changes):
    p = case["params"]
    params = {
        "alpha_rce": p["alpha"], "upper_rce": p["upper"], "tau_rce": p["t"], "alpha_rcl": p["alpha_cl"],
        "upper_rcl": p["upper_cl"], "tau_rcl": p["t_cl"], "lambda_rcl": p["lambda"], "center_lr": p.get("lr_c", 0.001),
    } | changes  # fmt: skip
    return params, miabench.create_defense("crl", **params).criterion(case["C"], case["D"])


@pytest.mark.parametrize("case", CRL_CASES, ids=lambda case: case["key"])
def test_imp_relaxloss_is_crl_without_centers(golden, evaluate, case):
    arrays = golden("a_crl_loss").arrays
    params, crl = crl_with(case, lambda_rcl=0.0)
    own = {name: params[name] for name in ("alpha_rce", "tau_rce", "upper_rce")}
    ours = evaluate(miabench.create_defense("imp-relaxloss", **own).criterion(case["C"], case["D"]), arrays, case, 1)
    theirs = evaluate(crl, arrays, case, 1)
    epoch = case["epoch"]
    ours, theirs = (
        evaluate(c, arrays, case, epoch)
        for c in (miabench.create_defense("imp-relaxloss", **own).criterion(case["C"], case["D"]), crl)
    )
    np.testing.assert_allclose(ours[0], theirs[0], **EXACT)
    np.testing.assert_allclose(ours[0], case["loss_rce"], **EXACT)
    np.testing.assert_allclose(ours[1].grad, theirs[1].grad, **EXACT)
    np.testing.assert_allclose(ours[1].grad, arrays[f"{case['key']}.g_logits_rce"], **EXACT)
    assert ours[2].grad is None
