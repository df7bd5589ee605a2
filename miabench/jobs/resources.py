"""What the jobs of one process share: plugins, pools on the device, stored networks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from miabench import seeds
from miabench.data.pool import Data
from miabench.errors import UserError
from miabench.experiment.model import Choice
from miabench.jobs.arithmetic import DTYPES, PRODUCTS
from miabench.jobs.observe import ANSWERS
from miabench.jobs.specs import Context, Job, ProbeSpec, TrainingSpec
from miabench.plugins.attack import Probe
from miabench.plugins.defense import Defense
from miabench.plugins.discover import discover, probe_class
from miabench.plugins.network import build_network, capturable
from miabench.store.store import WEIGHTS, Ref, Store
from miabench.training.records import Records


class TrainedBy(NamedTuple):
    """A defense, what builds its network, and whether steps may be recorded on a GPU."""

    defense: Defense
    build: Callable[[], nn.Module]
    capturable: bool


class Resources:
    """Gives jobs what they work with; pools and their inputs are kept between jobs.

    Attributes:
        context: where a job finds things.
        store: of all artifacts.
        plugins: the context's and the built-in ones.
        device: where networks and pools live.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store = Store(context.store)
        self.plugins = discover(context.plugins)
        self.device = torch.device(context.device)
        self._pools: dict[str, Data] = {}
        self._inputs: dict[str, Tensor] = {}

    def pool(self, choice: Choice, identity: str) -> Data:
        """The dataset, as it was when the experiment was planned."""
        if identity not in self._pools:
            data = self.plugins.get("dataset", choice.name).build(choice.params).pool(Path(self.context.data_root))
            if data.identity != identity:
                raise UserError(f"dataset {choice.name} changed since this experiment was planned: run again")
            self._pools[identity] = data
        return self._pools[identity]

    def inputs(self, job: Job, dtype: torch.dtype) -> Records:
        """The whole pool on the device (N, ...), raw; what is read of it is normalised."""
        data = self.pool(job.dataset, job.identity)
        if job.identity not in self._inputs:
            self._inputs[job.identity] = data.x.to(self.device)
        return Records(self._inputs[job.identity], data.normalisation(self.device, dtype))

    def current_device(self) -> AbstractContextManager[object]:
        """The job's GPU is the current one: torch's global random numbers, which checkpoints keep, are its."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def trained_by(self, spec: TrainingSpec, data: Data) -> TrainedBy:
        """What trains the network of a training."""
        defense = self.plugins.get("defense", spec.defense.name).build(spec.defense.params)
        model = self.plugins.get("model", spec.model.name).build(spec.model.params)
        build = partial(build_network, model, defense, data.domain, PRODUCTS.get(spec.compute.precision))
        return TrainedBy(defense, build, capturable(model, defense))

    def probe(self, spec: ProbeSpec) -> Probe:
        """A probe from its description."""
        return probe_class(spec.module, spec.qualname)(**spec.params)

    def rows(self, name: str) -> Tensor:
        """A list of pool rows as a CPU tensor."""
        return torch.from_numpy(self.store.ids(name))

    def answers(self, key: str) -> Tensor:
        """The logits (N, C) of the whole pool in a stored observation, float32 on the CPU."""
        return torch.from_numpy(self.store.arrays(Ref("observations", key), ANSWERS)[ANSWERS])

    def network(self, key: str, data: Data) -> tuple[nn.Module, Defense, TrainingSpec]:
        """A stored network in eval mode on the device, with what it was trained under."""
        ref = Ref("networks", key)
        spec = TrainingSpec.model_validate(self.store.manifest(ref).spec)
        net = self.untrained(spec, data)  # in its precision before weights are loaded, or float64 ones are rounded
        weights = self.store.file(ref, WEIGHTS)
        _check_layout(weights, net)
        net.load_state_dict(load_file(weights))
        return net, self.trained_by(spec, data).defense, spec

    def untrained(self, spec: TrainingSpec, data: Data) -> nn.Module:
        """A fresh network of the kind that a training makes, in eval mode on the device."""
        with seeds.global_stream(0, "weights that nothing depends on"):
            net = self.trained_by(spec, data).build()
        return net.to(self.device, DTYPES[spec.compute.precision]).eval()


def _check_layout(weights: Path, net: nn.Module) -> None:
    """Refuse weights that are not those of such a network before any is read: what they claim may fill the memory."""
    expected = {name: list(value.shape) for name, value in net.state_dict().items()}
    try:
        with safe_open(weights, framework="pt") as file:
            claimed = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{weights} is no file of weights: {error}") from None
    for name in dict.fromkeys((*expected, *claimed)):
        if claimed.get(name) != expected.get(name):
            raise UserError(
                f"{weights} are not the weights of this network: {name} has shape {claimed.get(name)}, "
                f"expected {expected.get(name)}"
            )
