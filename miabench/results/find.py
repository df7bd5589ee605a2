"""Finding an experiment's results in a store: the index of what was asked for, or of the runs of it that there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath

from miabench.errors import MissingStepError, UserError
from miabench.experiment.model import Experiment
from miabench.results.index import FOLDER, Entry, Index, file_name
from miabench.store.hashed import hashed
from miabench.store.store import Store

MOST_NAMED = 5  # experiments that an error names


def find_index(store: Store, experiment: Experiment, planned: Callable[[Experiment], Sequence[Entry]]) -> Index:
    """The index of an experiment that was trained or attacked here before.

    Where it was run with more runs, the first ones count; where with fewer, those that there are, and a note says so.
    Where a file of its data was named by another path, what the data's content says decides.

    Args:
        store: where it is looked for.
        experiment: which.
        planned: what an experiment's results would be called; loads its data.

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
    alike = [index for index in held if _without_folders(index.experiment) == _without_folders(experiment)]
    for index in sorted(alike, key=lambda index: -index.experiment.runs):
        if _plan(index, experiment, planned) == index.entries:
            return index if experiment.paired else _with_runs(index, experiment.runs)
    said = "".join(f"; {_paths(index, experiment)} is of other data, or was computed otherwise" for index in alike[:1])
    raise MissingStepError(f"{missing.what}{said}{_has(held)}; make them with", missing.step)


def _without_runs(experiment: Experiment) -> dict[str, object]:
    return hashed(experiment.model_copy(update={"runs": 1}))


def _without_folders(experiment: Experiment) -> dict[str, object]:
    """What decides the results, with the last part of every path that a dataset takes; of other texts too."""
    content = hashed(experiment if experiment.paired else experiment.model_copy(update={"runs": 1}))
    for choice in content["dataset"]:
        choice |= {key: PurePath(value).name for key, value in choice.items() if isinstance(value, str)}
    return content


def _plan(index: Index, asked: Experiment, planned: Callable[[Experiment], Sequence[Entry]]) -> list[Entry]:
    """What the results of what is asked are called, in as many runs as an index has."""
    try:
        return [*planned(asked.model_copy(update={"runs": index.experiment.runs}))]
    except UserError as error:
        named = f"the store has results with {_paths(index, asked)}: named so they are found without the data"
        raise UserError(*error.problems, named) from None


def _paths(index: Index, asked: Experiment) -> str:
    """What an index's datasets were told otherwise than those that are asked for."""
    pairs = zip(index.experiment.dataset, asked.dataset, strict=True)
    return ", ".join(
        f"{held.name}.{key}={value}"
        for held, other in pairs
        for key, value in held.params.items()
        if value != other.params.get(key)
    )


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
