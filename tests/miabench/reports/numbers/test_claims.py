"""What a defense has reports say of its trainings: planned, recorded and said in every form."""

import html
import re

import pytest

import miabench
from miabench.experiment.load import load_experiment
from miabench.reports.numbers.selection import Selection
from miabench.reports.tables.latex import escape as latex_text
from miabench.reports.tables.markdown import escape as markdown_text
from miabench.reports.write import Report
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.store.store import Store


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny):
    """Two runs of three epochs; read back from the store, as `miabench report` does."""
    store = tmp_path_factory.mktemp("claims") / "store"
    experiment = tiny(defense=["ce", {"name": "claims", "fixed": [0.25, 0.5]}], runs=2, more_plugins=["claims"])
    miabench.run(experiment, store=store, executor="inline")
    return Results(Index.load(Store(store), load_experiment(experiment)), Store(store))


@pytest.fixture(scope="module")
def note(trained):
    """The note by hand: mean and range of the last losses, three times the fixed value, and what nothing recorded."""
    said = []
    for cell, fixed in zip(trained.index.cells[1:], ("0.75", "1.5"), strict=True):
        losses = [trained.history(cell, run)["loss"].tolist()[2] for run in (0, 1)]
        loss = f"{sum(losses) / 2:.4g} [{min(losses):.4g} to {max(losses):.4g}]"
        said.append(f"mlp hidden=[16] {cell.label}: <loss>_x = {loss}, fixed = {fixed}, other = not recorded")
    assert min(losses) < max(losses)
    return f"toy {'; '.join(said)}; that is 100% of *it*"


@pytest.mark.parametrize(
    ("form", "escaped"),
    [("table", str), ("markdown", markdown_text), ("latex", latex_text), ("html", html.escape)],
)
def test_it_is_said_once_with_the_recorded_values(trained, printed, note, form, escaped):
    made = Report(trained)
    text = printed(made, width=1000) if form == "table" else made.text(form)
    assert text.count(escaped(note)) == 1


def test_only_of_cells_that_are_shown(trained, printed, note):
    shown = Report(trained, selection=Selection(rows=("claims fixed=0.5",)))
    (said,) = re.findall("^toy .*that is.*$", printed(shown, width=1000), re.MULTILINE)
    assert said == f"toy {note.split('; ')[1]}; that is 100% of *it*"


def test_nothing_is_said_before_a_target_is_trained(trained, printed, tmp_path):
    untrained = Results(trained.index, Store(tmp_path))
    assert "that is" not in printed(Report(untrained))


def test_an_index_of_an_earlier_version_has_no_claims(trained, printed):
    index = trained.index.model_dump(mode="json")
    for cell in index["cells"]:
        del cell["claim"]
    earlier = Results(Index.model_validate(index), trained.store)
    assert "that is" not in printed(Report(earlier))
