"""Labels name what differs from the defaults, and nothing else."""

from pathlib import Path

import miabench
from miabench.experiment.cell_names import by_default, cell_label, non_default
from miabench.plugins.discover import discover


def test_only_what_differs():
    crl = miabench.create_defense("crl", alpha_rce=0.5, tau_rce=0.1)
    assert non_default(crl) == {"alpha_rce": 0.5}
    assert cell_label("crl", non_default(crl)) == "crl alpha_rce=0.5"
    assert non_default(miabench.create_defense("crl")) == {}


def test_nested_tables():
    assert non_default(miabench.create_attack("nn", schedule={"epochs": 5})) == {"schedule.epochs": 5}


def test_what_has_its_default():
    nn = miabench.create_attack("nn", schedule={"epochs": 5})
    assert by_default(nn, ["schedule", "schedule.epochs", "rounds"]) == []
    assert by_default(miabench.create_attack("nn"), ["schedule", "schedule.epochs"]) == ["schedule"]
    assert by_default(miabench.create_defense("crl", alpha_rce=0.5), ["alpha_rce", "tau_rce"]) == ["tau_rce"]


def test_tuples_and_files():
    model = discover().get("model", "mlp").build({"hidden": [32, 16]})
    assert non_default(model) == {"hidden": [32, 16]}
    data = discover().get("dataset", "images").build({"path": "/somewhere/photos.zip"})
    assert non_default(data) == {"path": "photos.zip"}
    assert data.path == Path("/somewhere/photos.zip")


def test_a_default_that_the_data_decide_has_no_name():
    """`relaxloss` beside `relaxloss alpha=0.5`, not `relaxloss alpha=None`."""
    defaults, set_ = (miabench.create_defense("relaxloss", **params) for params in ({}, {"alpha": 0.5}))
    labels = [cell_label("relaxloss", non_default(defense, also=["alpha", "upper"])) for defense in (defaults, set_)]
    assert labels == ["relaxloss upper=1.0", "relaxloss alpha=0.5 upper=1.0"]
