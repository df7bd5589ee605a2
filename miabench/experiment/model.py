"""An experiment: what to train, attack and report, as a TOML file, a dict, or command-line options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from miabench.errors import nearest
from miabench.plugins.suites import SUITES, suite_name
from miabench.store.hashed import LATER, NEVER, HashedAs
from miabench.training.schedule import Schedule

PLUGINS = ("dataset", "model", "defense", "attacks")  # the keys that choose plugins
MOST_RUNS = 10_000  # of repetitions or models: planning takes time for each
MOST_TRAININGS = 20_000  # of a cell
LONGEST_NAME = 200  # bytes; file systems take 255 with what is added
FORMER_BASELINE = "ce"  # how the baseline was written before it had a word; hashes and stored indexes keep it


class Choice(BaseModel, frozen=True):
    """A plugin by name, with the parameters to set: `"crl"` or `{name = "crl", alpha_rce = 0.5}`."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, value: Any) -> Any:
        return _named(value)

    @model_serializer
    def _to_toml(self) -> dict[str, Any]:
        return {"name": self.name, **self.params}


class ScheduledChoice(Choice, frozen=True):
    """A plugin that may have a schedule of its own: what it says replaces keys of the experiment's."""

    schedule: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, value: Any) -> Any:
        choice = _named(value)
        return {"schedule": choice["params"].pop("schedule", {}), **choice}

    @model_serializer
    def _to_toml(self) -> dict[str, Any]:
        return {"name": self.name, **self.params, **({"schedule": self.schedule} if self.schedule else {})}


class DatasetChoice(ScheduledChoice, frozen=True):
    """A dataset with its arguments and, where the others have another one, its own schedule."""


class DefenseChoice(ScheduledChoice, frozen=True):
    """A defense with its hyper-parameters and, where it needs another one, a schedule of its own.

    `{name = "dp-sgd", schedule = {lr = 0.5}}` replaces keys of the dataset's schedule for this defense: its targets,
    its adaptive shadows and what they start from. A list where one value is expected stands for one cell each.
    """


def _versioned(choice: Choice) -> Choice:
    """A suite under its full name; anything else as it is."""
    suite = suite_name(choice.name)
    if suite and choice.params:
        raise ValueError(f"{choice.name} is a suite, whose attacks have their defaults: it takes no parameters")
    if not suite and "@" in choice.name:
        raise ValueError(f"there is no suite {choice.name!r}{nearest(choice.name, SUITES)}")
    return choice.model_copy(update={"name": suite}) if suite else choice


def _named(value: Any) -> dict[str, Any]:
    """Name and parameters of a plugin, as TOML gives them."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict):
        raise ValueError("should be a name, or a table with a name")
    if not isinstance(value.get("name"), str):
        raise ValueError("a table here needs a name")
    return {"name": value["name"].replace("_", "-"), "params": {k: v for k, v in value.items() if k != "name"}}


def _former_shadow_defense(attacker: Attacker) -> str:
    return FORMER_BASELINE if attacker.shadow_defense == "baseline" else attacker.shadow_defense


class Attacker(BaseModel, frozen=True, extra="forbid"):
    """What the attacker knows."""

    shadow_defense: Annotated[Literal["same", "baseline", "both"], HashedAs(_former_shadow_defense)] = Field(
        "same",
        description="shadow models are trained under the same defense (adaptive), under the baseline, or one of each",
    )

    @field_validator("shadow_defense", mode="before")
    @classmethod
    def _rename_former(cls, value: Any) -> Any:
        return "baseline" if value == FORMER_BASELINE else value


class Tuned(BaseModel, frozen=True, extra="forbid"):
    """Which hyper-parameters of a defense were chosen on the shadow half."""

    study: str = Field(description="key of the search, in the store's folder `tuning`")
    parameters: list[str] = Field(description="what it chose")


class Experiment(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides the results, and where and how they are computed.

    The index of its results is filed under its hash. A key added to it is marked `LATER`; one that decides no result,
    `NEVER`.
    """

    name: str = Field(
        "experiment",
        pattern=r"^[\w.@ -]+(/[\w.@ -]+)*$",
        description="letters, digits, blanks and any of _ . @ - /; names the results in the store",
    )
    dataset: list[DatasetChoice] = Field(min_length=1, description="one or more datasets")
    model: list[Choice] = Field(min_length=1, description="one or more models")
    defense: list[DefenseChoice] = Field(min_length=1, description="defenses, each with its hyper-parameters")
    attacks: list[Choice] = Field(
        min_length=1,
        description="attacks, each with its parameters, and suites: label-only, black-box, white-box, all",
    )
    runs: int = Field(5, ge=1, le=MOST_RUNS, description="independent repetitions of every cell, on the same splits")
    shadows: int = Field(
        5,
        ge=0,
        le=MOST_RUNS,
        description="shadow models for each target, 0: no thresholds; protocol pool: even, by default 4",
    )
    seed: int = Field(0, ge=0, lt=2**32 - 2000, description="of splits and of every random stream")
    plugins: list[str] = Field(default_factory=list, description="plugin files")
    device: Annotated[str, HashedAs(lambda experiment: experiment.device.partition(":")[0])] = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:1, mps"
    )
    precision: Literal["float32", "tf32", "bf16", "float64"] = Field(
        "float32", description="of training and inference; bf16: of networks' products alone, weights stay float32"
    )
    threads: int = Field(
        1, ge=1, le=1024, description="CPU threads of every job; results depend on it in the last bits"
    )
    schedule: Schedule = Field(default_factory=Schedule)
    attacker: Attacker = Field(default_factory=Attacker)
    protocol: Literal["disjoint", "tune", "pool"] = Field(
        "disjoint",
        description="which records models get: the paper's halves; pairs of models that share the whole pool; or, as "
        "in a trial of tuning, the shadow half",
    )
    models: Annotated[int, LATER] = Field(
        16,
        ge=6,
        le=MOST_RUNS,
        multiple_of=2,
        description="protocol pool: how many are trained; each is the target once",
    )
    population: Annotated[float, LATER] = Field(
        0.1, ge=0, lt=1, description="protocol pool: share of the records that no model sees, which attackers know of"
    )
    tuned: dict[str, Tuned] = Field(
        default_factory=dict, description="per defense, the search that chose its hyper-parameters: see miabench tune"
    )
    unpublished: Annotated[list[str], LATER] = Field(
        default_factory=list,
        description="what the reproduced paper does not give, as crl.alpha_rce: the values are ours",
    )
    keep_weights: Annotated[Literal["all", "targets", "none"], NEVER] = Field(
        "all", description="whose weights stay once all is measured: all networks', targets' only, or none"
    )
    scale: Annotated[float | None, LATER] = Field(
        None, gt=0, le=1, description="a mark of --scale: the share that it cut the pool to"
    )
    scaled_defaults: Annotated[dict[str, dict[str, Any]], NEVER] = Field(
        default_factory=dict, description="a mark of --scale: what it made of defenses' defaults, which nobody chose"
    )

    def chosen_otherwise(self, defense: str, params: Iterable[str]) -> list[str]:
        """Of the hyper-parameters set for a defense, those that tuning on the shadow half did not choose."""
        chosen = self.tuned[defense].parameters if defense in self.tuned else ()
        return [name for name in params if name not in chosen]

    @property
    def paired(self) -> bool:
        """Whether models come in pairs, each the target of one run."""
        return self.protocol != "disjoint"

    def as_file(self) -> dict[str, Any]:
        """What an experiment file of it says, every key written out; pairs of models know no `runs`."""
        return self.model_dump(mode="json", exclude={"runs"} if self.paired else set())

    @model_validator(mode="before")
    @classmethod
    def _shadows_of_pairs(cls, value: Any) -> Any:
        paired = isinstance(value, Mapping) and value.get("protocol") in ("pool", "tune")
        return {"shadows": 4, **value} if paired else value

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        if len(value.encode()) > LONGEST_NAME:
            raise ValueError(f"it names files, so it takes at most {LONGEST_NAME} bytes")
        return value

    @model_validator(mode="after")
    def _enough_models(self) -> Self:
        if self.runs * (self.shadows + 1) > MOST_TRAININGS:
            raise ValueError(
                f"runs = {self.runs}, shadows = {self.shadows}: that is {self.runs * (self.shadows + 1):,} trainings "
                f"for every cell; at most {MOST_TRAININGS:,} can be planned"
            )
        if self.paired and (self.shadows % 2 or self.shadows > self.models - 2):
            raise ValueError(
                f"shadows = {self.shadows}: protocol {self.protocol} with {self.models} models takes an even number, "
                f"0 to {self.models - 2}"
            )
        return self

    @field_validator(*PLUGINS, mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return value if isinstance(value, list) else [value]

    @field_validator("attacks")
    @classmethod
    def _suites_have_versions(cls, value: list[Choice]) -> list[Choice]:
        return [_versioned(choice) for choice in value]

    @field_validator("scale")
    @classmethod
    def _only_a_mark(cls, value: float | None, info: ValidationInfo) -> float | None:
        whole = [choice.name for choice in info.data.get("dataset", ()) if "records" not in choice.params]
        if value is not None and whole:
            raise ValueError(f"it marks what --scale made smaller, but {whole[0]} is whole; use --scale instead")
        return value
