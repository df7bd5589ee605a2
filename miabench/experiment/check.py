"""Judging an experiment's names and parameters before anything slow is imported."""

from __future__ import annotations

from collections.abc import Iterator

from miabench.errors import UserError
from miabench.experiment.grid import expand
from miabench.experiment.model import Choice, Experiment
from miabench.files.paths import expanded
from miabench.plugins.base import Kind
from miabench.plugins.check import check, form
from miabench.plugins.discover import PluginIndex, discover
from miabench.plugins.plugin_files import file_hash
from miabench.plugins.suites import suite_name


def check_names(experiment: Experiment) -> None:
    """Refuse names that nothing has, and parameters of built-in plugins that cannot be.

    Planning judges the rest: plugin files, which must be imported, and what only a validator or the data can tell.

    Raises:
        UserError: all that is wrong.
    """
    index = discover()
    chosen: dict[Kind, list[Choice]] = {
        "dataset": [*experiment.dataset],
        "model": [*experiment.model],
        "defense": [*experiment.defense],
        "attack": [choice for choice in experiment.attacks if not suite_name(choice.name)],
    }
    problems = [*_files(experiment)]
    for kind, choices in chosen.items():
        for choice in choices:
            problems += _problems(index, kind, choice, experiment)
    if problems:
        raise UserError(*problems)


def _files(experiment: Experiment) -> Iterator[str]:
    for file in experiment.plugins:
        try:
            file_hash(expanded(file).resolve())
        except UserError as error:
            yield from error.problems


def _problems(index: PluginIndex, kind: Kind, choice: Choice, experiment: Experiment) -> Iterator[str]:
    try:
        found = index.get(kind, choice.name)
        if found.source == "built-in":
            for params in expand(form(found), choice.params):
                check(found, params)
    except UserError as error:
        if not experiment.plugins:  # one of the files may be it
            yield from error.problems
