"""Configuring an experiment: its plugins are built and its grids expanded; all problems are found at once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

from miabench.errors import UserError
from miabench.experiment.cell_names import cell_label, non_default, non_default_schedule
from miabench.experiment.grid import expand
from miabench.experiment.model import Choice, DefenseChoice, Experiment, ScheduledChoice
from miabench.jobs.machine import devices_here, resolve_device
from miabench.jobs.specs import Component, Compute
from miabench.plugins.attack import Attack
from miabench.plugins.base import Plugin
from miabench.plugins.dataset import Dataset
from miabench.plugins.defense import Defense
from miabench.plugins.discover import PluginIndex, PluginInfo, discover
from miabench.plugins.model import Model
from miabench.plugins.suites import SUITES
from miabench.training.schedule import Schedule

P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True)
class ConfiguredPlugin(Generic[P]):
    """A plugin with its parameters, its description for keys, and the schedule that a defense is trained on.

    Attributes:
        non_default: what differs from the plugin's defaults or among an experiment's settings of it, and, as
            `schedule.lr`, from the experiment's schedule.
        own: the keys of the schedule that the plugin itself replaces.
        alone: whether its name alone tells it from the others: an attack that stands once in an experiment.
    """

    plugin: P
    component: Component
    non_default: Mapping[str, Any]
    schedule: Schedule
    own: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False

    def under(self, schedule: Schedule) -> Self:
        """The same on another schedule than the experiment's, with what the plugin replaces of it."""
        return replace(self, schedule=schedule.replaced(self.own))

    @property
    def label(self) -> str:
        """The name, and whatever differs from the defaults unless the name is enough."""
        return cell_label(self.component.name, {} if self.alone else self.non_default)


@dataclass(frozen=True)
class Configured:
    """An experiment with all its plugins built."""

    experiment: Experiment
    plugins: PluginIndex
    device: str
    compute: Compute
    datasets: Sequence[ConfiguredPlugin[Dataset]]
    models: Sequence[ConfiguredPlugin[Model]]
    defenses: Sequence[ConfiguredPlugin[Defense]]
    attacks: Sequence[ConfiguredPlugin[Attack]]

    def defense(self, name: str, params: Mapping[str, Any]) -> ConfiguredPlugin[Defense]:
        """A defense that the experiment need not list, such as a teacher's.

        Raises:
            UserError: no such defense, or parameters that it does not take.
        """
        return _built(self.plugins.get("defense", name), params, self.experiment.schedule)

    def baseline(self) -> ConfiguredPlugin[Defense]:
        """The defense that is none: what a non-adaptive attacker's shadow models are trained under."""
        return self.defense(self.plugins.baseline().name, {})


def configure(experiment: Experiment, have: Sequence[str] | None = None) -> Configured:
    """Build the plugins of an experiment, for the devices where its jobs run; None: of this machine.

    Raises:
        UserError: whatever is wrong with names, parameters, plugin files or the device: all problems at once.
    """
    plugins = discover(experiment.plugins)
    device = resolve_device(experiment.device, have or devices_here())
    common, problems = experiment.schedule, list[str]()
    configured = Configured(
        experiment=experiment,
        plugins=plugins,
        device=device,
        compute=Compute.on(device, experiment.precision, experiment.threads),
        datasets=_each(lambda name: plugins.get("dataset", name), experiment.dataset, common, problems),
        models=_each(lambda name: plugins.get("model", name), experiment.model, common, problems),
        defenses=_each(lambda name: plugins.get("defense", name), experiment.defense, common, problems),
        attacks=_by_name(_each(lambda name: plugins.get("attack", name), _attacks(experiment), common, problems)),
    )
    problems += dict.fromkeys(
        f"defense {defense.component.name}: {problem}"
        for defense in configured.defenses
        if (problem := defense.plugin.oversight())
    )
    problems += [problem for attack in configured.attacks for problem in _oversights(attack)]
    problems += _beyond_the_schedule(configured)
    if problems:
        raise UserError(*problems)
    return configured


def _beyond_the_schedule(configured: Configured) -> Iterator[str]:
    """Epochs of the schedule that a defense asks for and no schedule has; told before any data are read."""
    asked: dict[tuple[str, str, int], list[int]] = {}
    for dataset, defense in itertools.product(configured.datasets, configured.defenses):
        last = defense.under(dataset.schedule).schedule.epochs
        for name, tried in defense.plugin.tune.items():
            replaced = tried.unless and getattr(defense.plugin, tried.unless) is not None
            if tried.high == "epochs" and not replaced:
                asked.setdefault((defense.component.name, name, last), []).append(getattr(defense.plugin, name))
    for (defense_name, name, last), values in asked.items():
        fits = sorted({value for value in values if value <= last})
        beyond = ", ".join(str(value) for value in sorted({*values} - {*fits}))
        if beyond:
            yield (
                f"defense {defense_name}: {name} = {beyond} is beyond the schedule's {last} epochs: "
                f"--set '{defense_name}.{name}={fits or max(1, last // 2)}'; --scale without --epochs shortens both"
            )


def _attacks(experiment: Experiment) -> list[Choice]:
    """The experiment's attacks; in place of a suite its own, of which those that are named beside it stand once."""
    named = {choice.name for choice in experiment.attacks if not choice.params}
    choices: dict[str, Choice] = {}
    wanted = list[Choice]()
    for choice in experiment.attacks:
        members = [name for name in SUITES.get(choice.name, ()) if name not in named and name not in choices]
        choices |= {name: Choice(name=name) for name in members}
        wanted += [choices[name] for name in members] if choice.name in SUITES else [choice]
    return wanted


def _by_name(attacks: Sequence[ConfiguredPlugin[Attack]]) -> list[ConfiguredPlugin[Attack]]:
    """The attacks, each that stands once by its name, as in the columns of a paper."""
    counts = Counter(attack.component.name for attack in attacks)
    return [replace(attack, alone=counts[attack.component.name] == 1) for attack in attacks]


def _each(
    get: Callable[[str], PluginInfo[P]], choices: Sequence[Choice], common: Schedule, problems: list[str]
) -> list[ConfiguredPlugin[P]]:
    """Instances of all choices of one kind, grids expanded; what is wrong is added to the problems."""
    built: list[ConfiguredPlugin[P]] = []
    for choice in choices:
        try:
            found = get(choice.name)
            own = choice.schedule if isinstance(choice, ScheduledChoice) else {}
            also = _varying(choices, choice) if isinstance(choice, DefenseChoice) else ()
            schedules = expand(Schedule, own) if isinstance(choice, DefenseChoice) else [own]
            grid = itertools.product(expand(found.load(), choice.params), schedules)
            built += [_built(found, params, common, schedule, also) for params, schedule in grid]
        except UserError as error:
            problems += error.problems
    counts = Counter(item.label for item in built)
    kind = found.kind if built else ""
    problems += [
        f"{kind} {label!r} stands twice in the experiment; remove one" for label in counts if counts[label] > 1
    ]
    return built


def _built(
    found: PluginInfo[P],
    params: Mapping[str, Any],
    common: Schedule,
    own: Mapping[str, Any] | None = None,
    also: Collection[str] = (),
) -> ConfiguredPlugin[P]:
    plugin = found.build(params)
    try:
        schedule = common.replaced(own or {})
    except UserError as error:
        raise UserError(*(f"{found.kind} {found.name}: {problem}" for problem in error.problems)) from None
    differs = non_default(plugin, also)
    if found.kind == "defense":  # on a dataset's own schedule all of its cells are trained: it tells none apart
        differs |= non_default_schedule(schedule, common)
    return ConfiguredPlugin(plugin, Component.of(found, plugin), differs, schedule, own or {})


def _varying(choices: Sequence[Choice], choice: Choice) -> set[str]:
    """The parameters by which an experiment's settings of one plugin differ: set differently, or given as lists."""
    settings = [other.params for other in choices if other.name == choice.name]
    names = {name for params in settings for name in params}
    return {
        name
        for name in names
        if isinstance(choice.params.get(name), list)
        or any(params.get(name) != settings[0].get(name) for params in settings)
    }


def _oversights(attack: ConfiguredPlugin[Attack]) -> Iterator[str]:
    """Probes of an attack that see more than its access allows."""
    levels = {"label": "label", "served": "black-box", "network": "white-box"}
    allowed = list(levels.values())
    for probe in attack.plugin.probes():
        if allowed.index(levels[probe.sees]) > allowed.index(attack.plugin.access):
            yield (
                f"attack {attack.label}: its access is {attack.plugin.access!r}, but its probe {type(probe).__name__} "
                f"sees the {'network itself' if probe.sees == 'network' else 'served logits'}; "
                f"declare access = {levels[probe.sees]!r}"
            )
