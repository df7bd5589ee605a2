"""Loss-rank correlation of defenses: by hand from stored logits, and where it is shown."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import spearmanr

import miabench
from miabench.experiment.load import load_experiment
from miabench.reports.numbers.loss_ranks import Correlation, loss_ranks
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import rank_map
from miabench.reports.tables.between_defenses import loss_rank_tables
from miabench.reports.write import Report
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.store.store import Store

SCHEDULE = {"epochs": 8, "batch_size": 16}  # enough to be above chance
SPARING = """
from torch.nn import functional as F

from miabench import Defense


class Sparing(Defense, frozen=True):
    def withhold(self):
        return {"spared": 0.3}

    def loss(self, logits, features, targets, epoch):
        return F.cross_entropy(logits, targets, label_smoothing=0.2)
"""
KINDS = {"members": True, "non-members": False}


def ran(folder, experiment):
    miabench.run(experiment, store=folder, executor="inline")
    return Results(Index.load(Store(folder), load_experiment(experiment)), Store(folder))


@pytest.fixture(scope="module")
def results(tmp_path_factory, tiny):
    """Three runs of no defense and of one that withholds records."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "sparing.py").write_text(SPARING)
    experiment = tiny(defense=["ce", "sparing"], runs=3, shadows=1, schedule=SCHEDULE)
    experiment["plugins"].append(str(folder / "sparing.py"))
    return ran(folder / "store", experiment)


@pytest.fixture(scope="module")
def pool(tmp_path_factory, tiny):
    """Six models of each of two defenses."""
    experiment = tiny(defense=["ce", "label-smoothing"], protocol="pool", models=6, shadows=2, schedule=SCHEDULE)
    del experiment["runs"]
    return ran(tmp_path_factory.mktemp("ranks") / "store", experiment)


def both(results):
    """On members, and on non-members."""
    found = loss_ranks(results, summarize(results))
    assert [one.records for one in found] == ["members", "non-members"]
    return found


def losses_by_hand(results):
    """By cell and run: membership, 1 or 0, and cross entropy by pool row, straight from the files."""
    found, folder = {}, results.store.folder
    for entry in results.index.entries:
        if entry.attack is None:
            metrics = folder / "metrics" / entry.metrics.key
            target = np.load(metrics / "arrays.npz")
            logits = json.loads((metrics / "manifest.json").read_text())["spec"]["logits"]
            z = np.load(folder / "observations" / logits / "arrays.npz")["answers"].astype(np.float64)
            rows, labels = target["target_row"], target["target_label"]
            loss = logsumexp(z[rows], axis=1) - z[rows, labels]
            of_run = zip(rows.tolist(), target["target_member"].tolist(), loss.tolist(), strict=True)
            found[entry.cell, entry.run] = {row: (member, one) for row, member, one in of_run}
    return found


def by_hand(one, other, kind):
    rows = [row for row in one if row in other and one[row][0] == other[row][0] == kind]
    return spearmanr([one[row][1] for row in rows], [other[row][1] for row in rows]).statistic, len(rows)


@pytest.mark.parametrize("name", ["results", "pool"])
def test_the_mean_over_targets_with_the_same_members(name, request):
    results = request.getfixturevalue(name)
    hand = losses_by_hand(results)
    runs = sorted({run for _, run in hand})
    for one in both(results):
        correlations, counts = zip(*(by_hand(hand[0, r], hand[1, r], KINDS[one.records]) for r in runs), strict=True)
        found = one.between(1, 0)
        assert found.value == pytest.approx(np.mean(correlations), abs=1e-9)
        assert (found.runs, found.n_records) == (len(runs), min(counts))
        assert -1 <= found.low < found.value < found.high <= 1


def test_withheld_records_are_left_out(results):
    hand = losses_by_hand(results)
    members, others = (one.between(0, 1).n_records for one in both(results))
    assert members == sum(member for member, _ in hand[1, 0].values()) == 28
    assert others == 40


@pytest.mark.parametrize(("name", "step"), [("results", 1), ("pool", 2)])
def test_the_diagonal_is_two_trainings_of_one_defense(name, step, request):
    results = request.getfixturevalue(name)
    hand = losses_by_hand(results)
    runs = sorted({run for _, run in hand})
    for one in both(results):
        for i in (0, 1):
            pairs = [(hand[i, r], hand[i, runs[(r + step) % len(runs)]]) for r in runs]
            expected = np.mean([by_hand(*pair, KINDS[one.records])[0] for pair in pairs])
            found = one.between(i, i)
            assert found.value == pytest.approx(expected, abs=1e-9)
            assert (found.low, found.high) == (None, None)
            assert found.value < 1


def test_a_single_run_has_no_diagonal_and_a_single_defense_nothing(tmp_path, tiny):
    results = ran(tmp_path / "store", tiny(defense=["ce", "label-smoothing"], shadows=1, schedule=SCHEDULE))
    assert [set(one.found) for one in loss_ranks(results, summarize(results))] == [{(0, 1)}] * 2
    results = ran(tmp_path / "store", tiny(runs=2, shadows=1, schedule=SCHEDULE))
    assert loss_ranks(results, summarize(results)) == []


def test_the_table_the_file_and_the_figure_say_the_same(results):
    made = Report(results)
    found = made.loss_ranks
    rows = json.loads(made.text("json"))["loss_ranks"]
    assert len(rows) == 2 * 3
    (figure,) = rank_map.draw(found).values()
    for one, table, axes in zip(found, loss_rank_tables(found), figure.axes, strict=False):
        own = {(row["defense"], row["other_defense"]): row for row in rows if row["records"] == one.records}
        both, ce = own["ce", "sparing"], own["ce", "ce"]
        assert (both["value"], both["low"], both["high"]) == one.between(0, 1)[:3]
        assert (ce["low"], ce["runs"]) == (None, 3)
        value = table.rows[1].values[0]
        assert (value.text, value.spread) == (f"{both['value']:.2f}", f"[{both['low']:.2f}, {both['high']:.2f}]")
        assert table.rows[0].values[0].spread == ""
        assert axes.get_title() == one.records
        texts = [text.get_text() for text in axes.texts]
        assert texts == [f"{one.between(i, j).value:.2f}" for i in (0, 1) for j in (0, 1)]
    assert "loss-rank correlation on members" in made.text("html")
    assert "loss-rank correlation on members" in made.text("latex")


def test_the_folder_has_the_csv_and_the_figure(results, tmp_path):
    made = Report(results)
    written = {path.name for path in made.save(tmp_path)}
    assert {"loss-ranks.csv", "lrc.png", "lrc.pdf"} <= written
    table = pd.read_csv(tmp_path / "loss-ranks.csv")
    rows = json.loads(made.text("json"))["loss_ranks"]
    assert table.value.tolist() == [row["value"] for row in rows]
    assert table.params.map(json.loads).tolist() == [row["params"] for row in rows]
    assert table.low.isna().tolist() == [row["low"] is None for row in rows]


def test_what_cannot_be_told_is_said(results):
    one, other = both(results)
    known = {pair: found for pair, found in one.found.items() if pair != (0, 1)}
    table, _ = loss_rank_tables([one._replace(found=known), other])
    assert table.rows[0].values[1].text == "n/a"
    (figure,) = rank_map.draw([one._replace(found=known), other]).values()
    assert [text.get_text() for text in figure.axes[0].texts][1:3] == ["n/a", "n/a"]
    assert rank_map.draw([]) == {}


def test_results_without_networks_have_none(make_results):
    results = make_results({}, {"defense": "crl"})
    assert loss_ranks(results, summarize(results)) == []


def test_less_than_no_correlation_is_within_the_shades(results):
    one, other = both(results)
    against = {**one.found, (0, 1): Correlation(-0.4, -0.5, -0.3, 3, 40)}
    (figure,) = rank_map.draw([one._replace(found=against), other]).values()
    assert figure.axes[0].images[0].get_clim() == (-0.4, 1.0)


def test_collapsed_lines_are_left_out(results):
    summary = summarize(results)
    lines = [replace(line, collapsed=3) if line.cell.defense == "sparing" else line for line in summary.lines]
    assert loss_ranks(results, replace(summary, lines=lines)) == []
