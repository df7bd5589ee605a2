"""`miabench audit`, as it is typed."""

import json

import numpy as np
import pytest
from miabench.attacks import _toolbox

import miabench


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Predictions, references and a mask in the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels, mask = rng.integers(3, size=60), rng.random((4, 60)) < 0.5
    right = np.eye(3)[labels]
    z = rng.normal(size=(60, 3)) + 2 * right
    z[:30] += 2 * right[:30]
    references = rng.normal(size=(4, 60, 3)) + (2 + 2 * mask[..., None]) * right
    np.savez("m.npz", logits=z[:30], labels=labels[:30])
    np.savez("n.npz", logits=z[30:], labels=labels[30:])
    np.savez("refs.npz", logits=references)
    np.savez("mask.npz", member=mask)
    return ["--members", "m.npz", "--nonmembers", "n.npz"]


def test_every_option_reaches_the_audit(files, run_command):
    references = ["--reference-answers", "refs.npz", "--reference-member", "mask.npz"]
    status, out, _ = run_command("audit", *files, *references, "--format", "json")
    assert status == 0
    found = json.loads(out)
    expected = miabench.audit("m.npz", "n.npz", reference_answers="refs.npz", reference_member="mask.npz")
    assert [row["value"] for row in found["rows"]] == [None if v != v else v for v in expected.table["value"]]
    assert (found["verdict"], found["notes"]) == (expected.verdict, list(expected.notes))
    assert found["warnings"] == list(expected.warnings)
    assert found["references"] == 4
    assert "on average" in found["notes"][0]


def test_notes_stand_below_the_table(files, run_command):
    status, out, _ = run_command("audit", *files, "--reference-answers", "refs.npz")
    assert status == 0
    assert "4 reference models, taken to have trained on none of the records" in " ".join(out.split())


def test_the_table_ends_with_verdict_and_warnings(files, run_command):
    np.savez("n.npz", **np.load("m.npz"))
    status, out, _ = run_command("audit", *files)
    text = " ".join(out.split())
    assert status == 0
    assert "members were not told from non-members: " in text
    assert "warning: 30 of 30 non-members have exactly the outputs and the label of a member" in text


def test_a_network_by_its_name(files, run_command, monkeypatch, tmp_path):
    monkeypatch.setattr(_toolbox, "find_spec", lambda name: None)  # its search takes seconds
    (tmp_path / "typed_net.py").write_text(
        "import torch\ndef net():\n    torch.manual_seed(0)\n    return torch.nn.Linear(5, 3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("m.npz", "n.npz"):
        np.savez(name, x=rng.normal(size=(12, 5)).astype(np.float32), labels=np.arange(12) % 3)
    status, out, _ = run_command("audit", *files, "--model", "typed_net:net", "--format", "json")
    assert status == 0
    rows = {(row["attack"], row["metric"]): row for row in json.loads(out)["rows"]}
    assert 0 <= rows["grad-x", "auc"]["value"] <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--members", "m.npz"], "error: an audit needs both --members and --nonmembers\n"),
        (
            ["--members", "m.npz", "--nonmembers", "n.npz", "--reference-member", "mask.npz"],
            "error: mask.npz says which reference trained on which record: give --reference-answers too\n",
        ),
        (
            ["--members", "m.npz", "--nonmembers", "n.npz", "--model", "nothing"],
            "error: --model 'nothing': give module:function, a function without arguments that gives the network\n",
        ),
    ],
)
def test_bad_input_is_one_line(files, run_command, words, message):
    assert run_command("audit", *words) == (2, "", message)


def test_a_stopped_audit_promises_nothing(files, run_command, monkeypatch):
    def stopped(**given):
        raise KeyboardInterrupt

    monkeypatch.setattr("miabench.api.auditing.audit", stopped)
    assert run_command("audit", *files) == (130, "", "stopped\n")
