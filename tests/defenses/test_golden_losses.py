"""Values and gradients of the losses equal the reference code's, in float64."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses._levels import lowest_cross_entropy

import miabench

GOLDEN = Path(__file__).parents[1] / "golden"
CRL_CASES = json.loads((GOLDEN / "a_crl_loss.json").read_text())["cases"]
RELAX_CASES = [
    case for case in json.loads((GOLDEN / "b_losses.json").read_text())["cases"] if case["name"].startswith("relaxloss")
]
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def crl_with(params, **changes):
    names = {
        "alpha": "alpha_rce", "upper": "upper_rce", "t": "tau_rce", "alpha_cl": "alpha_rcl", "upper_cl": "upper_rcl",
        "t_cl": "tau_rcl", "lambda": "lambda_rcl", "lr_c": "center_lr",
    }  # fmt: skip
    return miabench.create_defense("crl", **{names[k]: v for k, v in params.items()}, **changes)


@pytest.mark.parametrize("case", CRL_CASES, ids=lambda case: case["key"])
def test_crl(golden, evaluate, case):
    arrays = golden("a_crl_loss").arrays
    criterion = crl_with(case["params"]).criterion(case["C"], case["D"])
    loss, logits, features = evaluate(criterion, arrays, case, case["epoch"])
    np.testing.assert_allclose(loss, case["loss_total"], **EXACT)
    key = case["key"]
    np.testing.assert_allclose(logits.grad, arrays[f"{key}.g_logits"], **EXACT)
    np.testing.assert_allclose(features.grad, arrays[f"{key}.g_features"], **EXACT)
    np.testing.assert_allclose(criterion.centers.grad, arrays[f"{key}.g_centers"], **EXACT)


@pytest.mark.parametrize("case", CRL_CASES, ids=lambda case: case["key"])
def test_crl_records_the_branches(golden, evaluate, case):
    criterion = crl_with(case["params"]).criterion(case["C"], case["D"])
    evaluate(criterion, golden("a_crl_loss").arrays, case, case["epoch"])
    taken = {name for name, share in criterion.measured().items() if share == 1}
    words = {"odd_above": "fit", "even_above": "hold", "even_below": "hold", "odd_soft": "soften"}
    assert taken == {f"rce_{words[case['branch_rce']]}", f"rcl_{words[case['branch_rcl']]}"}
    assert all(share == 0 for share in criterion.measured().values()), "counts start again after each reading"


@pytest.mark.parametrize("case", RELAX_CASES, ids=lambda case: case["key"])
def test_relaxloss(golden, evaluate, case):
    params = case["params"]
    original = case["name"] == "relaxloss_original_repo"
    defense = miabench.create_defense(
        "relaxloss", alpha=params["alpha"], upper=params["upper"], variant="original" if original else "eq3"
    )
    arrays = golden("b_losses").arrays
    epoch = params["epoch"] + 1 if original else params["epoch"]
    loss, logits, _ = evaluate(defense.criterion(10, 6), arrays, case, epoch)
    np.testing.assert_allclose(loss, case["loss"], **EXACT)
    np.testing.assert_allclose(logits.grad, arrays[f"{case['key']}.g_logits"], **EXACT)


def test_crl_without_normalisation_and_centers_is_relaxloss(golden, evaluate):
    arrays = golden("a_crl_loss").arrays
    compared = set()
    for case in CRL_CASES:
        params = {**case["params"], "t": 0.0, "t_cl": 0.0, "lambda": 0.0}
        crl = crl_with(params).criterion(case["C"], case["D"])
        relax = miabench.create_defense("relaxloss", alpha=params["alpha"], upper=params["upper"]).criterion(0, 0)
        ours, theirs = (evaluate(c, arrays, case, case["epoch"]) for c in (crl, relax))
        np.testing.assert_allclose(ours[0], theirs[0], **EXACT)
        np.testing.assert_allclose(ours[1].grad, theirs[1].grad, **EXACT)
        compared.add(max(relax.measured().items(), key=lambda item: item[1])[0])
    assert compared == {"rce_fit", "rce_hold", "rce_soften"}


@pytest.mark.parametrize(("num_classes", "tau", "floor"), [(10, 0.5, 0.74), (30, 0.5, 1.57), (100, 0.5, 2.66)])
def test_the_lowest_cross_entropy(num_classes, tau, floor):
    """The bound of PROTOCOL.md, and that very large logits reach it."""
    crl = miabench.create_defense("crl", tau_rce=tau, lambda_rcl=0.0, alpha_rce=0.0)
    assert lowest_cross_entropy(num_classes, tau) == pytest.approx(floor, abs=0.005)
    logits = torch.eye(num_classes, dtype=torch.float64)[:1] * num_classes - 1
    criterion = crl.criterion(num_classes, 1).double()
    loss = criterion(logits * 1e9, torch.zeros(1, 1).double(), torch.tensor([0]), 1)
    assert loss.item() == pytest.approx(lowest_cross_entropy(num_classes, tau), rel=1e-6)
