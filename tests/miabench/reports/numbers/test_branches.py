"""The shares of the branches of relaxed losses, as every form of a report says them."""

import json

import numpy as np
import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.reports.numbers.branches import branch_rows, branch_shares
from miabench.reports.write import Report
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.store.store import Store

CRL = {"name": "crl", "alpha_rce": 50.0, "alpha_rcl": 0.0}  # one part is below its level, the other never comes down


@pytest.fixture(scope="module")
def results(tmp_path_factory, tiny):
    store = tmp_path_factory.mktemp("branches") / "store"
    experiment = tiny(defense=["ce", CRL, {"name": "relaxloss", "alpha": 0.0}], attacks=["entropy"], runs=2, shadows=0)
    miabench.run(experiment, store=store, executor="inline")
    return Results(Index.load(Store(store), load_experiment(experiment)), Store(store))


def test_shares_are_means_over_epochs_and_runs(results):
    """Of three epochs the second holds, whatever the loss is."""
    crl = next(shares for key, shares in branch_shares(results).items() if key.label.startswith("crl"))
    assert crl["rce"] == pytest.approx({"fit": 0, "hold": 1 / 3, "soften": 2 / 3})
    assert crl["rcl"] == pytest.approx({"fit": 2 / 3, "hold": 1 / 3, "soften": 0})
    cell = next(cell for cell in results.index.cells if cell.defense == "crl")
    histories = [results.history(cell, run) for run in range(2)]
    assert crl["rce"]["soften"] == pytest.approx(np.mean([history.rce_soften.mean() for history in histories]))


def test_defenses_without_relaxed_losses_have_none(results):
    rows = list(branch_rows(results.index.cells, branch_shares(results)))
    assert [row["defense"] for row in rows] == ["crl", "crl", "relaxloss"]
    assert [row["relaxed"] for row in rows] == [True, False, False]


def test_every_form_says_it(results):
    made = Report(results, details=True)
    said = json.loads(made.text("json"))["branches"]
    assert said == list(branch_rows(results.index.cells, branch_shares(results)))
    assert said[1]["loss"] == "rcl"
    for form in ("table", "markdown", "latex", "html"):
        text = " ".join(made.text(form).split())
        assert "share of steps by branch of a relaxed loss" in text, form
        assert "rcl never relaxed" in text, form
        assert "rce never relaxed" in text, form
    assert "never relaxed" not in Report(results).text()
