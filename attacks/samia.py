"""Self-attention attack (Yuan and Zhang, USENIX Security 2022, arXiv:2202.03335; "SAMIA"), learnt on shadow models.

token c = (p_c, s_c, [c = y]) of class c,  p = softmax(logits),  s_c = mean over copies of |p_c(x + eps u) - p_c| / eps
network = batch norm of the 3C numbers - per token Linear 64 - GELU - 3 encoder layers (4 heads, width 64, feed-forward
          128, GELU, dropout 0.2, layer norm after each sum) - all tokens side by side: Linear 64 - ReLU - Linear 2,
          trained by cross entropy to tell members (1) from non-members (0) on the records of all shadow models
score   = o_1 - o_0, the log odds of softmax(o)_1, dropout off

u ~ N(0, I) on the normalised input, from a stream of the record's own. Queries: 1 + copies a record. Architecture,
tokens in the order of the classes, 10 copies, eps = 0.001 and the schedule (SGD, batches of 128, a tenth of the rate
after half and three quarters of the epochs) are those of the authors' code. Differs from it: PyTorch's initial
weights, and models need not be pruned. Attention makes a step dearer the more classes there are: with many of them set
fewer `schedule.epochs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from miabench.attacks._distinct_rows import distinct_rows
from miabench.attacks._learns_by_schedule import LearnsBySchedule
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from miabench import Data, Field, Logits, Model, Observed, Probe, RecordNoise, Schedule, Scores, State
from miabench.logprob import log_softmax

SCHEDULE = Schedule(
    epochs=100, lr=0.001, milestones={50: 1e-4, 75: 1e-5}, momentum=0.9, weight_decay=5e-4, batch_size=128
)
WIDTH, HEADS, FEED_FORWARD, LAYERS, DROP = 64, 4, 128, 3, 0.2
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
        net = _trained(torch.from_numpy(x).to(device), torch.from_numpy(member).to(device), self.schedule, generator)
        return self.finite({name: value.cpu().numpy() for name, value in net.state_dict().items()})

    def score(self, target: Observed, state: State) -> Scores:
        """Log odds of being a member (N,)."""
        x, place = distinct_rows(self.inputs_of(target))
        with torch.random.fork_rng():
            net = Transformer(target.num_classes)  # its initial weights are replaced
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


class Transformer(nn.Module):
    """Members or not, from three numbers a class.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3 * num_classes)
        self.embed = nn.Linear(3, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, FEED_FORWARD, DROP, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.hidden = nn.Linear(WIDTH * num_classes, WIDTH)
        self.out = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, 2) for inputs (n, 3C)."""
        tokens = self.norm(x).view(len(x), 3, -1).transpose(1, 2)
        encoded = self.encoder(F.gelu(self.embed(tokens)))
        logits: Tensor = self.out(F.relu(self.hidden(encoded.flatten(1))))
        return logits


def _trained(x: Tensor, member: Tensor, schedule: Schedule, generator: torch.Generator) -> Transformer:
    """The network after SGD on the mean cross entropy; x (R, 3C), member (R,), 0 or 1."""
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    with torch.random.fork_rng():  # modules draw weights and dropout from the global generator
        torch.manual_seed(seed)
        net = Transformer(x.shape[1] // 3).to(x.device)
        sgd = torch.optim.SGD(
            net.parameters(), schedule.lr, momentum=schedule.momentum, weight_decay=schedule.weight_decay
        )
        for epoch in range(1, schedule.epochs + 1):
            sgd.param_groups[0]["lr"] = schedule.lr_at(epoch)
            order = torch.randperm(len(x), generator=generator, device=x.device)
            for rows in torch.split(order, schedule.batch_size):
                if len(rows) > 1:  # batch norm has no variance of one record
                    sgd.zero_grad()
                    F.cross_entropy(net(x[rows]), member[rows]).backward()  # type: ignore[no-untyped-call]
                    sgd.step()
    return net


def _probabilities(logits: Tensor) -> Tensor:
    """Softmax (n, C), float64, on the CPU, as not every device has float64."""
    return logits.cpu().double().softmax(1)
