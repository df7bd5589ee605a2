"""Labels name what differs from the defaults, and nothing else."""

from pathlib import Path

import miabench
from miabench.experiment.cell_names import changed, labelled, unchanged
from miabench.plugins.discover import discover


def test_only_what_differs():
    crl = miabench.create_defense("crl", alpha_rce=0.5, tau_rce=0.1)
    assert changed(crl) == {"alpha_rce": 0.5}
    assert labelled("crl", changed(crl)) == "crl alpha_rce=0.5"
    assert changed(miabench.create_defense("crl")) == {}


def test_nested_tables():
    assert changed(miabench.create_attack("nn", schedule={"epochs": 5})) == {"schedule.epochs": 5}


def test_what_has_its_default():
    nn = miabench.create_attack("nn", schedule={"epochs": 5})
    assert unchanged(nn, ["schedule", "schedule.epochs", "rounds"]) == []
    assert unchanged(miabench.create_attack("nn"), ["schedule", "schedule.epochs"]) == ["schedule"]
    assert unchanged(miabench.create_defense("crl", alpha_rce=0.5), ["alpha_rce", "tau_rce"]) == ["tau_rce"]


def test_tuples_and_files():
    model = discover().get("model", "mlp").build({"hidden": [32, 16]})
    assert changed(model) == {"hidden": [32, 16]}
    data = discover().get("dataset", "images").build({"path": "/somewhere/photos.zip"})
    assert changed(data) == {"path": "photos.zip"}
    assert data.path == Path("/somewhere/photos.zip")
