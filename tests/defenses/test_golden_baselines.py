"""Baselines equal the reference code in values and gradients, in float64; the ablations equal crl."""

import copy
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from miabench.defenses import advreg
from miabench.defenses._distillation import distillation_loss, lowest_entropy
from torch import nn

import miabench
from miabench.data.pool import Data
from miabench.plugins.network import build_network
from miabench.training.classifier import Classifier
from miabench.training.schedule import Schedule
from miabench.training.task import Task, TaskConfig

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


def crl_and(name, case, **zero):
    """An ablation with a case's parameters, and crl with the same and the given ones at 0."""
    p = case["params"]
    params = {
        "alpha_rce": p["alpha"], "upper_rce": p["upper"], "tau_rce": p["t"], "alpha_rcl": p["alpha_cl"],
        "upper_rcl": p["upper_cl"], "tau_rcl": p["t_cl"], "lambda_rcl": p["lambda"], "center_lr": p["lr_c"],
    } | zero  # fmt: skip
    fields = type(miabench.create_defense(name)).model_fields
    ablation = miabench.create_defense(name, **{field: params[field] for field in fields if field in params})
    return (d.criterion(case["C"], case["D"]) for d in (ablation, miabench.create_defense("crl", **params)))


@pytest.mark.parametrize("case", CRL_CASES, ids=lambda case: case["key"])
def test_imp_relaxloss_is_crl_without_centers(golden, evaluate, case):
    arrays = golden("a_crl_loss").arrays
    ablation, crl = crl_and("imp-relaxloss", case, lambda_rcl=0.0)
    loss, logits, features = evaluate(ablation, arrays, case, case["epoch"])
    whole_loss, whole_logits, whole_features = evaluate(crl, arrays, case, case["epoch"])
    np.testing.assert_allclose(loss, whole_loss, **EXACT)
    np.testing.assert_allclose(loss, case["loss_rce"], **EXACT)
    np.testing.assert_allclose(logits.grad, whole_logits.grad, **EXACT)
    np.testing.assert_allclose(logits.grad, arrays[f"{case['key']}.g_logits_rce"], **EXACT)
    assert features.grad is None
    assert not whole_features.grad.any()


@pytest.mark.parametrize("case", CRL_CASES, ids=lambda case: case["key"])
def test_relaxed_center_loss_is_crl_without_normalisation(golden, evaluate, case):
    arrays = golden("a_crl_loss").arrays
    ablation, crl = crl_and("relaxed-center-loss", case, tau_rce=0.0, tau_rcl=0.0)
    loss, logits, features = evaluate(ablation, arrays, case, case["epoch"])
    whole_loss, whole_logits, whole_features = evaluate(crl, arrays, case, case["epoch"])
    np.testing.assert_allclose(loss, whole_loss, **EXACT)
    np.testing.assert_allclose(logits.grad, whole_logits.grad, **EXACT)
    np.testing.assert_allclose(features.grad, whole_features.grad, **EXACT)
    np.testing.assert_allclose(ablation.centers.grad, crl.centers.grad, **EXACT)


def record_by_record(arrays, case):
    """Loss and gradients in logits, features and centers of the relaxed center loss, from its formula, in a loop."""
    p, epoch = case["params"], case["epoch"]
    z, q, c = (torch.tensor(arrays[f"{case['inputs']}.{x}"], requires_grad=True) for x in INPUTS)
    ce, soft, near, mixed = [], [], [], []
    for i, y in enumerate(arrays[f"{case['inputs']}.labels"].tolist()):
        probability = z[i].exp() / z[i].exp().sum()
        others = [j for j in range(case["C"]) if j != y]
        target = probability[y].clamp(max=p["upper"])
        ce.append(-probability[y].log())
        spread = sum(-probability[j].log() for j in others) / len(others)
        soft.append(-target * probability[y].log() + (1 - target) * spread)
        share = probability[y].clamp(max=p["upper_cl"])
        near.append((q[i] - c[y]).square().sum() / 2)
        mixed.append(share * near[-1] + (1 - share) * q[i].square().sum() / 2)
    loss, taken = 0.0, []
    for weight, alpha, own, softer in ((1.0, p["alpha"], ce, soft), (p["lambda"], p["alpha_cl"], near, mixed)):
        level, branch = sum(own) / len(own), "hold" if epoch % 2 == 0 else "fit"
        if branch == "fit" and level <= alpha:
            branch = "soften"
        taken.append(branch)
        values = {"hold": abs(level - alpha), "fit": level, "soften": sum(softer) / len(softer)}
        loss = loss + weight * values[branch]
    loss.backward()
    return loss.item(), (z.grad, q.grad, c.grad), tuple(taken)


INPUTS = ("logits", "features", "centers")


def test_relaxed_center_loss_record_by_record(golden, evaluate):
    arrays, seen = golden("a_crl_loss").arrays, set()
    for case in CRL_CASES:
        ablation, _ = crl_and("relaxed-center-loss", case, tau_rce=0.0, tau_rcl=0.0)
        loss, logits, features = evaluate(ablation, arrays, case, case["epoch"])
        expected, gradients, taken = record_by_record(arrays, case)
        np.testing.assert_allclose(loss, expected, **EXACT)
        for ours, theirs in zip((logits, features, ablation.centers), gradients, strict=True):
            np.testing.assert_allclose(ours.grad, theirs, **EXACT)
        seen.add(taken)
    assert {rce for rce, _ in seen} == {rcl for _, rcl in seen} == {"fit", "hold", "soften"}


@pytest.mark.parametrize("name", ["relaxloss", "imp-relaxloss", "crl"])
def test_a_loss_at_its_level_is_softened(name):
    """Equality is not above (CRL, Eq. 9). Of even odds the cross entropy is ln 2, and the softer loss is flat there."""
    level = {"alpha" if name == "relaxloss" else "alpha_rce": np.log(2)}
    weight = {"lambda_rcl": 0.0} if name == "crl" else {}
    logits, features = (torch.zeros(2, n, dtype=torch.float64, requires_grad=True) for n in (2, 3))
    criterion = miabench.create_defense(name, **level, **weight).criterion(2, 3).double()
    criterion(logits, features, torch.tensor([0, 1]), 1).backward()
    assert criterion.measured()["rce_soften"] == 1
    assert not logits.grad.any()


# --- DMP ---


@cases("dmp_kl")
def test_dmp(arrays, case):
    tau, inputs = case["params"]["tau"], case["inputs"]
    student = torch.tensor(arrays[f"{inputs}.logits"], requires_grad=True)
    teacher = torch.tensor(arrays[f"{inputs}.teacher_logits"])
    loss = distillation_loss(student, teacher, tau, "reference")
    loss.backward()
    np.testing.assert_allclose(loss.item(), case["loss"], **EXACT)
    np.testing.assert_allclose(student.grad, arrays[f"{case['key']}.g_logits"], **EXACT)
    by_record = distillation_loss(student, teacher, tau, "batch-mean")
    np.testing.assert_allclose(by_record.item(), case["loss"] * student.shape[1], **EXACT)


def test_dmp_of_one_record_by_hand():
    """KL((0.8, 0.2) || (0.5, 0.5)) = 0.8 ln 1.6 + 0.2 ln 0.4; at tau = 2 logits of twice the size give the same."""
    teacher, student = torch.tensor([[4.0, 1.0]]).double().log(), torch.zeros(1, 2).double()
    expected = 0.8 * np.log(1.6) + 0.2 * np.log(0.4)
    assert distillation_loss(student, teacher, 1.0, "batch-mean").item() == pytest.approx(expected)
    assert distillation_loss(student, 2 * teacher, 2.0, "batch-mean").item() == pytest.approx(expected)


def test_lowest_entropy():
    logits = torch.tensor([[0.0, 0.0], [9.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    assert lowest_entropy(logits, 2).tolist() == [1, 3]
    assert lowest_entropy(logits, 3).tolist() == [1, 2, 3]


# --- AdvReg ---


def inference_network(case, num_classes):
    """The reference's inference network: widths of the case, weights of its rule."""
    params = case["params"]
    widths = () if params["hiddens"] is None else (params["hiddens"], params["y_hiddens"])
    net = advreg.InferenceNetwork(num_classes, *widths).double()
    scale = params["weight_rule"]["scale"] if "weight_rule" in params else params["scale"]
    for k, parameter in enumerate(net.parameters()):
        size = scale / np.sqrt(parameter.shape[1]) if parameter.ndim == 2 else 0.1
        values = size * np.sin(0.7 * np.arange(parameter.numel()) + k)
        parameter.data = torch.tensor(values).reshape(parameter.shape)
    return net


@cases("advreg_classifier_loss")
def test_advreg_classifier(arrays, case):
    logits = torch.tensor(arrays[f"{case['inputs']}.logits"], requires_grad=True)
    labels = torch.tensor(arrays[f"{case['inputs']}.labels"])
    inference = inference_network(case, logits.shape[1])
    loss = advreg.classifier_loss(logits, labels, inference, case["params"]["alpha"])
    loss.backward()
    np.testing.assert_allclose(loss.item(), case["loss"], **EXACT)
    np.testing.assert_allclose(logits.grad, arrays[f"{case['key']}.g_logits"], **EXACT)
    output = inference(logits, labels).detach()
    np.testing.assert_allclose(output, arrays[f"{case['key']}.inference_output"], **EXACT)


@cases("advreg_inference_bce")
def test_advreg_inference(arrays, case):
    seen, labels, unseen = (
        torch.tensor(arrays[f"{case['inputs']}.{name}"]) for name in ("logits", "labels", "teacher_logits")
    )
    inference = inference_network(case, seen.shape[1])
    loss = advreg.inference_loss(inference, (seen, labels), (unseen, labels.roll(1)))
    loss.backward()
    norm = torch.cat([p.grad.flatten() for p in inference.parameters()]).norm()
    np.testing.assert_allclose(loss.item(), case["loss"], **EXACT)
    np.testing.assert_allclose(norm, case["params"]["grad_l2_norm_over_all_params"], **EXACT)


@pytest.mark.parametrize(("num_classes", "count"), [(10, 747_929), (100, 765_929)])
def test_advreg_inference_network_is_as_large_as_the_reference(num_classes, count):
    assert sum(p.numel() for p in advreg.InferenceNetwork(num_classes).parameters()) == count


class TinyModel(miabench.Model, frozen=True):
    """q = tanh(f(x)), logits = c(q)."""

    def build(self, domain):
        return Classifier(nn.Sequential(nn.Linear(*domain.shape, 4), nn.Tanh()), nn.Linear(4, domain.num_classes), 4)


class Reference(Task):
    """Records come in order, and both networks start as in the reference run."""

    start: dict

    def batches(self, ids, how="in-order"):
        return super().batches(ids, how="in-order")

    def net(self):
        net = super().net()
        net.load_state_dict(self.start["net"])
        return net

    def new(self, purpose, make):
        inference = super().new(purpose, lambda: advreg.InferenceNetwork(self.num_classes, *self.start["widths"]))
        inference.load_state_dict(self.start["inference"])
        self.inference = inference
        return inference


def network_state(arrays, prefix):
    names = {"f": "encoder.0", "c": "head"}
    return {
        f"{ours}.{kind}": torch.tensor(arrays[f"{prefix}.{theirs}.{kind}"])
        for theirs, ours in names.items()
        for kind in ("weight", "bias")
    }


def inference_state(arrays, prefix):
    """Our names for the reference's `layers.N`, `y_layers.N` (Linear layers only) and `last_layer`."""
    state = {}
    for name in (name.removeprefix(f"{prefix}.") for name in arrays if name.startswith(f"{prefix}.")):
        *tower, kind = name.split(".")
        ours = "out" if tower == ["last_layer"] else f"{TOWERS[tower[0]]}.{2 * int(tower[1])}"
        state[f"{ours}.{kind}"] = torch.tensor(arrays[f"{prefix}.{name}"])
    return state


TOWERS = {"layers": "logits", "y_layers": "label"}


def test_advreg_trajectory(golden):
    """Four epochs through `fit`: classifier and inference network after each, and the recorded losses."""
    reference = golden("i_trajectories")
    arrays, about = reference.arrays, reference.json["advreg"]
    x, y = (torch.tensor(np.concatenate([arrays[a], arrays[b]])) for a, b in (("X", "R"), ("Y", "RY")))
    data = Data(x, y, ("a", "b", "c"))
    defense = miabench.create_defense("advreg", alpha=about["alpha"])
    setting = TaskConfig(
        build=partial(build_network, TinyModel(), defense, data.domain),
        num_classes=data.num_classes,
        ids={"train": torch.arange(18), "reference": torch.arange(18, 36)},
        given={},
        schedule=Schedule(epochs=4, lr=about["lr"], batch_size=6),
        seed=0,
        device=torch.device("cpu"),
        dtype=torch.float64,
        snapshots=frozenset({1, 2, 3, 4}),
        progress=lambda record: inference.append(copy.deepcopy(task.inference.state_dict())),
    )
    inference = []
    task = Reference(setting, x, y)
    task.start = {
        "net": network_state(arrays, "adv.init.net"),
        "inference": inference_state(arrays, "adv.init.inf"),
        "widths": (about["hiddens"], about["y_hiddens"]),
    }
    defense.fit(task)
    for epoch in range(4):  # the reference counts from 0
        for name, value in network_state(arrays, f"adv.epoch{epoch}.net").items():
            np.testing.assert_allclose(task.journal.snapshots[epoch + 1][name], value, rtol=1e-6, atol=1e-9)
        for name, value in inference_state(arrays, f"adv.epoch{epoch}.inf").items():
            np.testing.assert_allclose(inference[epoch][name], value, rtol=1e-6, atol=1e-9)
        losses = about["losses"][epoch]  # of three batches of one size
        assert task.journal.history[epoch]["loss"] == pytest.approx(np.mean(losses["classifier"]), rel=1e-6)
        assert task.journal.history[epoch]["inference_loss"] == pytest.approx(np.mean(losses["inference"]), rel=1e-6)
