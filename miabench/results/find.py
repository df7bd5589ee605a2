"""Finding an experiment's results in a store: the index of what was asked for, or of the runs of it that there are."""

from __future__ import annotations

from collections.abc import Sequence

from miabench.errors import MissingStepError
from miabench.experiment.model import Experiment
from miabench.results.index import FOLDER, Index, file_name
from miabench.store.hashed import hashed
from miabench.store.store import Store

MOST_NAMED = 5  # experiments that an error names


def find_index(store: Store, experiment: Experiment) -> Index:
    """The index of an experiment that was trained or attacked here before.

    Where it was run with more runs, the first ones count; where with fewer, those that there are, and a note says so.

    Raises:
        UserError: this store has never seen the experiment; the error says what it has.
    """
    try:
        return Index.load(store, experiment)
    except MissingStepError as error:
        if (store.folder / FOLDER / file_name(experiment)).exists():
            raise  # it is damaged: others are no answer
        missing = error
    held = list(Index.all(store))
    others = [index for index in held if _without_runs(index.experiment) == _without_runs(experiment)]
    if others and not experiment.paired:
        return _with_runs(max(others, key=lambda index: index.experiment.runs), experiment.runs)
    raise MissingStepError(f"{missing.what}{_has(held)}; make them with", missing.step)


def _without_runs(experiment: Experiment) -> dict[str, object]:
    return hashed(experiment.model_copy(update={"runs": 1}))


def _with_runs(index: Index, asked: int) -> Index:
    """The results of as many runs as were asked for, or of all there are."""
    there = index.experiment.runs
    if there < asked:
        note = f"{asked} runs were asked for; there are {there}"
        return index.model_copy(update={"notes": [*index.notes, note]})
    entries = [entry for entry in index.entries if entry.run < asked]
    experiment = index.experiment.model_copy(update={"runs": asked})
    return index.model_copy(update={"experiment": experiment, "entries": entries})


def _has(held: Sequence[Index]) -> str:
    """What a store has, for an error."""
    said = list(dict.fromkeys(_described(index.experiment) for index in held))
    more = f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return f"; it has {'; '.join(said[:MOST_NAMED])}{more}" if said else ""


def _described(experiment: Experiment) -> str:
    kinds = (experiment.dataset, experiment.model, experiment.defense, experiment.attacks)
    dataset, model, defense, attacks = (", ".join(dict.fromkeys(one.name for one in kind)) for kind in kinds)
    models, runs = f"{experiment.models} models", f"{experiment.runs} run{'s' * (experiment.runs > 1)}"
    size = f"{experiment.schedule.epochs} epochs, {models if experiment.paired else runs}, seed {experiment.seed}"
    return f"{experiment.name!r} ({dataset}; {model}; {defense}; {attacks}; {size})"
