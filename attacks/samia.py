"""Self-attention attack (Yuan and Zhang, USENIX Security 2022, arXiv:2202.03335; "SAMIA"), learnt on shadow models.

token c = (p_c, s_c, [c = y]) of class c,  p = softmax(logits),  s_c = mean over copies of |p_c(x + eps u) - p_c| / eps
network = 3 layers of self-attention between the classes' tokens, width 64, then two linear layers for all tokens side
          by side (`_self_attention.py`), trained by cross entropy to tell members (1) from non-members (0) on the
          records of all shadow models
score   = o_1 - o_0, the log odds of softmax(o)_1, dropout off

u ~ N(0, I) on the normalised input, from a stream of the record's own. Queries: 1 + copies a record. Architecture,
initial weights, tokens in the order of the classes, 10 copies, eps = 0.001, SGD with batches of 128 and a tenth of the
rate after half and three quarters of the epochs are those of the authors' code. Differs from it: models need not be
pruned; 10 epochs at 0.01 in place of 100 at 0.001, which takes a tenth of the time, and the authors' schedule is
    schedule = {epochs = 100, lr = 0.001, milestones = {50 = 1e-4, 75 = 1e-5}}
Attention makes a step dearer the more classes there are: about 0.1 CPU seconds for 128 records of 30 classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from miabench.attacks._distinct_rows import distinct_rows
from miabench.attacks._learns_by_schedule import LearnsBySchedule
from miabench.attacks._self_attention import train, untrained
from numpy.typing import NDArray
from torch import Tensor

from miabench import Data, Field, Logits, Model, Observed, Probe, RecordNoise, Schedule, Scores, State
from miabench.logprob import log_softmax

SCHEDULE = Schedule(epochs=10, lr=0.01, milestones={5: 1e-3, 8: 1e-4}, momentum=0.9, weight_decay=5e-4, batch_size=128)
ROWS = 512  # scored at once: attention over many classes takes memory


class Sensitivity(Probe, frozen=True):
    """How much each class' probability moves under a little Gaussian noise, by the noise's size."""

    stored_as: ClassVar[tuple[str, str] | None] = ("miabench.attacks.samia", "Sensitivity")

    epsilon: float
    copies: int

    sees: ClassVar[Literal["label", "served", "network"]] = "served"

    def observe(self, ask: Callable[[Tensor], Any], x: Tensor, y: Tensor, noise: RecordNoise) -> Tensor:
        """Mean |change| / epsilon (n, C), float32."""
        p = _probabilities(ask(x)[0])
        moved = torch.zeros_like(p)
        for _ in range(self.copies):
            drawn = noise.normal(*x.shape[1:]).to(x)
            moved += (_probabilities(ask(x + self.epsilon * drawn)[0]) - p).abs()
        return (moved / (self.copies * self.epsilon)).float()


class SelfAttention(LearnsBySchedule, frozen=True):
    """A transformer over the classes' confidences and sensitivities, learnt on shadow models."""

    version: ClassVar[int] = 2  # 2: the authors' initial weights, another order of operations, 10 epochs by default

    epsilon: float = Field(0.001, gt=0, description="ε: standard deviation of the noise")
    copies: int = Field(10, ge=1, description="noisy copies asked about")
    schedule: Schedule = Field(SCHEDULE, description="training of the attack's network; keys left out stay as they are")

    def unsupported(self, protocol: str, data: Data, model: Model) -> str | None:
        """Token ids have no scale."""
        if data.x.dtype == torch.int64:
            return "its records are integer tokens, to which no noise can be added; it needs real-valued data"
        return None

    def probes(self) -> tuple[Probe, ...]:
        """The served logits and their sensitivity."""
        return (Logits(), Sensitivity(epsilon=self.epsilon, copies=self.copies))

    def fit(self, shadows: Sequence[Observed], generator: torch.Generator) -> State:
        """The network's arrays, learnt on the generator's device.

        Raises:
            TrainingError: they are not finite.
        """
        x = np.concatenate([self.inputs_of(shadow) for shadow in shadows]).astype(np.float32)
        member = np.concatenate([np.asarray(shadow.member, dtype=np.int64) for shadow in shadows])
        device = generator.device
        net = train(torch.from_numpy(x).to(device), torch.from_numpy(member).to(device), self.schedule, generator)
        return self.finite({name: value.cpu().numpy() for name, value in net.state_dict().items()})

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of being a member (N,)."""
        x, place = distinct_rows(self.inputs_of(target))
        net = untrained(target.num_classes)
        net.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in state.items()})
        net.double().eval()
        with torch.no_grad():
            output = torch.cat([net(rows) for rows in torch.split(torch.from_numpy(x), ROWS)]).numpy()
        odds: NDArray[np.float64] = output[:, 1] - output[:, 0]
        return odds[place]

    def inputs_of(self, observed: Observed) -> NDArray[np.float64]:
        """What the network sees of each record (N, 3C): probabilities, sensitivities, one-hot true class."""
        logits, sensitivity = self.probes()
        p = np.exp(log_softmax(observed[logits]))
        return np.concatenate([p, observed[sensitivity], np.eye(observed.num_classes)[observed.labels]], axis=1)


def _probabilities(logits: Tensor) -> Tensor:
    """Softmax (n, C), float64, on the CPU, as not every device has float64."""
    return logits.cpu().double().softmax(1)
