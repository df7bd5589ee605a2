"""How often the 95% intervals of miabench.metrics hold the truth, and how often a difference is found where none is.

    python benchmarks/coverage.py [--full] [--only WORD] [--seed 0]

Scores are simulated: a shift of the members, an effect of each record that all runs share (half of the variance), an
effect of each run on the shift, and noise. The truth is then known. `--full` has ten times the trials and more cases
(half an hour of processor time, against two minutes); `--only` runs the tables whose title holds a word. Of T trials a
share of 95% has a standard error of sqrt(.95 x .05 / T): 1.8 points for 150, 0.6 for 1,500; a range over cases is
wider than the truth by a few of these.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from miabench import metrics
from miabench.metrics import Influences
from miabench.metrics.over_runs import Difference

Floats = NDArray[np.float64]
FPR = 0.01
STEP = 0.25  # between scores of few values


@dataclass(frozen=True)
class World:
    """Where scores come from.

    Attributes:
        records: N, half of them members.
        runs: R.
        shift: of the members' scores, whose variance is 1, on average over runs.
        spread: standard deviation of the shift over runs.
        alike: correlation of the attacks of one target.
        rounded: whether scores are multiples of STEP.
    """

    records: int
    runs: int
    shift: float = 0.742
    spread: float = 0.0
    alike: float = 0.3
    rounded: bool = False

    @property
    def members(self) -> NDArray[np.bool_]:
        """Who is a member (N,)."""
        return np.arange(self.records) < self.records // 2

    def scores(self, rng: np.random.Generator, shifts: Sequence[float], record: Floats | None = None) -> Floats:
        """Scores (K, R, N) of attacks with such shifts; `record` (K, 1, N) is what defenses share."""
        effect = self._noise(rng, (len(shifts), 1, self.records))
        if record is not None:
            effect = math.sqrt(0.7) * record + math.sqrt(0.3) * effect
        noise = self._noise(rng, (len(shifts), self.runs, self.records))
        runs = self.spread * self._noise(rng, (len(shifts), self.runs, 1))
        drawn = math.sqrt(0.5) * (effect + noise) + self.members * (np.reshape(shifts, (-1, 1, 1)) + runs)
        return np.round(drawn / STEP) * STEP if self.rounded else drawn

    def _noise(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
        own: Floats = rng.normal(size=shape)
        return math.sqrt(self.alike) * rng.normal(size=(1, *shape[1:])) + math.sqrt(1 - self.alike) * own


@dataclass(frozen=True)
class Metric:
    """A number of an attack, and its true value over all records and runs."""

    name: str
    of: Callable[[Floats, World], Influences]
    truth: Callable[[World, float], float]


def _tpr(scores: Floats, world: World) -> Influences:
    influences = metrics.tpr_influences(scores, world.members, FPR)
    assert influences is not None
    return influences


def _true_tpr(world: World, shift: float) -> float:
    limit = norm.isf(FPR)
    if world.rounded:  # a score of k steps stands for all from half a step below it
        limit = (math.ceil(limit / STEP - 0.5) + 0.5) * STEP
    return float(norm.cdf((shift - limit) / math.sqrt(1 + world.spread**2)))


def _correct(scores: Floats, world: World) -> Influences:
    """As if a member were classified correctly where its score is above 0."""
    return metrics.accuracy_influences(scores[..., world.members] > 0)


AUC = Metric(
    "AUC",
    lambda scores, world: metrics.auc_influences(scores, world.members),
    lambda world, shift: float(norm.cdf(shift / math.sqrt(2 + world.spread**2))),
)
TPR = Metric("TPR at 1%", _tpr, _true_tpr)
ACCURACY = Metric("accuracy", _correct, lambda world, shift: float(norm.cdf(shift / math.sqrt(1 + world.spread**2))))


@dataclass(frozen=True)
class Size:
    """How much is simulated: trials of 300 records, fewer of more; cases."""

    trials: int
    records: tuple[int, ...]
    runs: tuple[int, ...] = (2, 3, 5, 16)

    def of(self, world: World) -> range:
        """Trials of a world."""
        return range(max(60, round(self.trials * min(1, 3000 / (world.records * world.runs)))))


SMALL, FULL = Size(150, (300, 1000)), Size(1500, (300, 1000, 3000))
SHIFTS = (0.0, 0.742, 2.66)  # AUC .5, .7, .97


def means(rng: np.random.Generator, size: Size, metric: Metric, rounded: bool = False) -> Iterator[str]:
    """Coverage of means over runs."""
    for runs in (1, *size.runs):
        for spread in (0.0, 0.3) if runs > 1 else (0.0,):
            found, widths = [], []
            for records in size.records:
                for shift in SHIFTS:
                    world = World(records, runs, shift, spread, rounded=rounded)
                    truth = metric.truth(world, shift)
                    drawn = (metric.of(world.scores(rng, [shift]), world).pick(0) for _ in size.of(world))
                    estimates = [metrics.mean_over_runs(one) for one in drawn]
                    found.append(_covered(estimates, truth))
                    widths.append(np.mean([one.high - one.low for one in estimates]))
            yield f"{runs:4d} runs  spread {spread:.1f}   {_range(found)}   width {np.mean(widths):.3f}"


def differences(rng: np.random.Generator, size: Size, metric: Metric) -> Iterator[str]:
    """Coverage of paired differences, and how often one is found where there is none."""
    for runs in size.runs:
        for spread in (0.0, 0.3):
            found, chance = [], []
            for records in size.records:
                for shift, other in ((0.742, 0.742), (0.742, 0.3), (2.66, 1.8)):
                    world = World(records, runs, shift, spread)
                    truth = metric.truth(world, shift) - metric.truth(world, other)
                    drawn = [_difference(rng, world, metric, shift, other) for _ in size.of(world)]
                    found.append(_covered(drawn, truth))
                    if not truth:
                        chance.append(float(np.mean([one.p < 0.05 for one in drawn])))
            yield f"{runs:4d} runs  spread {spread:.1f}   {_range(found)}   found by chance {_range(chance)}"


def worst_cases(rng: np.random.Generator, size: Size, metric: Metric) -> Iterator[str]:
    """Coverage of the worst case over attacks, and what choosing among them does to its value.

    Alone, and as that of a level of access whose weaker level has the stronger half of the attacks.
    """
    for attacks in (2, 4, 12):
        for runs in (1, *size.runs[1:]):
            curse = []
            found: dict[str, list[float]] = {"alone": [], "level": []}
            corrected: dict[str, list[float]] = {"alone": [], "level": []}
            for records in size.records:
                for shift in SHIFTS[:2] if size is SMALL else SHIFTS:
                    for spread, alike, apart in ((0.0, 0.3, 0.0), (0.3, 0.3, 0.0), (0.3, 0.9, 0.0), (0.0, 0.3, 0.4)):
                        world = World(records, runs, shift, spread if runs > 1 else 0.0, alike)
                        shifts = [shift - apart * one for one in np.linspace(0, 1, attacks).tolist()]
                        truth = metric.truth(world, shift)
                        drawn = [metric.of(world.scores(rng, shifts), world) for _ in range(len(size.of(world)) // 3)]
                        curse.append(float(np.mean([one.values.mean(-1).max() for one in drawn])) - truth)
                        alone = [metrics.worst_of(one) for one in drawn]
                        for name, worst in (("alone", alone), ("level", [*map(_of_level, drawn, alone)])):
                            found[name].append(_covered(worst, truth))
                            corrected[name].append(float(np.mean([one.value for one in worst])) - truth)
            yield f"{attacks:4d} attacks  {runs:2d} runs   largest {_signed(curse)} too high"
            for name, shares in found.items():
                yield f"{name:>26s}   {_range(shares)}   value {_signed(corrected[name])} too high"


def _of_level(influences: Influences, alone: metrics.WorstCase) -> metrics.WorstCase:
    """The worst case of a level, the first half of whose attacks a weaker one has too."""
    weaker = [influences.pick(k) for k in range(len(influences.values) // 2)]
    return metrics.at_least(alone, metrics.worst_of(metrics.stacked(weaker)))


def worst_differences(rng: np.random.Generator, size: Size, metric: Metric) -> Iterator[str]:
    """The worst cases of two defenses that do not differ: all attacks equal, or one strong against many equal ones."""
    for attacks in (4, 12):
        for runs in size.runs[1:3]:
            found = []
            for records in size.records:
                for spread in (0.0, 0.3):
                    for weaker in (0.742, 0.0):
                        world = World(records, runs, 0.742, spread)
                        few, many = [0.742, *[weaker] * (attacks - 1)], [0.742] * attacks
                        calls = 0
                        for _ in (trials := size.of(world)):
                            record = world._noise(rng, (attacks, 1, records))
                            a, b = (metric.of(world.scores(rng, one, record), world) for one in (few, many))
                            calls += metrics.difference(metrics.strongest(a), metrics.strongest(b)).p < 0.05
                        found.append(calls / len(trials))
            yield f"{attacks:4d} attacks  {runs:2d} runs   found by chance {_range(found)}"


def best_of_many(rng: np.random.Generator, size: Size) -> Iterator[str]:
    """Settings that do not differ from the undefended model: how often some of k are called lower, or different."""
    for settings in (4, 18):
        for runs in (3, 5):
            for spread in (0.0, 0.3):
                world = World(1000, runs, 0.742, spread, alike=0.0)
                calls = np.zeros(4)
                for _ in (trials := range(size.trials)):
                    family = _family(rng, world, settings)
                    words = {one.word for one in metrics.verdicts(family)}
                    alone = [np.sign(one.value) for one in family if one.p < 0.05]
                    calls += "lower" in words, len(words) > 1 or "lower" in words, -1 in alone, bool(alone)
                lower, different, lower_alone, different_alone = (f"{100 * one / len(trials):4.1f}%" for one in calls)
                yield (
                    f"{settings:4d} settings  {runs} runs  spread {spread:.1f}   lower {lower}, different {different}"
                    f"   (without Holm {lower_alone}, {different_alone})"
                )


def power(rng: np.random.Generator, size: Size) -> Iterator[str]:
    """How often a true difference in AUC of .03 is called lower, among k settings of which the others do not differ."""
    shift = math.sqrt(2) * norm.ppf(norm.cdf(0.742 / math.sqrt(2)) - 0.03)
    for settings in (1, 4, 18):
        for runs in (3, 5):
            world = World(1000, runs, 0.742, 0.0, alike=0.0)
            drawn = [_family(rng, world, settings, shift) for _ in range(size.trials // 2)]
            told = np.mean([metrics.verdicts(family)[0].word == "lower" for family in drawn])
            yield f"{settings:4d} settings  {runs} runs   {100 * told:.0f}%"


def _family(rng: np.random.Generator, world: World, settings: int, first: float | None = None) -> list[Difference]:
    """Differences of settings to the undefended model, whose records they share; the first may have its own shift."""
    record = np.repeat(rng.normal(size=(1, 1, world.records)), settings + 1, axis=0)
    shifts = [world.shift, world.shift if first is None else first, *[world.shift] * (settings - 1)]
    influences = metrics.auc_influences(world.scores(rng, shifts, record), world.members)
    return [metrics.difference(influences.pick(k), influences.pick(0)) for k in range(1, settings + 1)]


def _difference(rng: np.random.Generator, world: World, metric: Metric, shift: float, other: float) -> Difference:
    paired = replace(world, alike=0.5)  # of the two sides, instead of two attacks: half is common
    influences = metric.of(paired.scores(rng, [shift, other]), world)
    return metrics.difference(influences.pick(0), influences.pick(1))


def _covered(estimates: Sequence[metrics.Estimate | metrics.WorstCase | Difference], truth: float) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in estimates]))


def _range(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):5.1f} to {100 * max(shares):5.1f}%, mean {100 * np.mean(shares):5.1f}%"


def _signed(biases: Sequence[float]) -> str:
    return f"{np.mean(biases):+.3f} ({min(biases):+.3f} to {max(biases):+.3f})"


TABLES: dict[str, Callable[[np.random.Generator, Size], Iterator[str]]] = {
    "mean AUC": lambda rng, size: means(rng, size, AUC),
    "mean accuracy": lambda rng, size: means(rng, size, ACCURACY),
    "mean TPR at 1% FPR": lambda rng, size: means(rng, size, TPR),
    "mean TPR at 1% FPR of scores of few values": lambda rng, size: means(rng, size, TPR, rounded=True),
    "difference in AUC": lambda rng, size: differences(rng, size, AUC),
    "difference in TPR at 1% FPR": lambda rng, size: differences(rng, size, TPR),
    "worst case, AUC": lambda rng, size: worst_cases(rng, size, AUC),
    "worst case, TPR at 1% FPR": lambda rng, size: worst_cases(rng, size, TPR),
    "worst cases that do not differ, AUC": lambda rng, size: worst_differences(rng, size, AUC),
    "best of many settings, none better": best_of_many,
    "power at a true difference of .03": power,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    size = FULL if chosen.full else SMALL
    for title, table in TABLES.items():
        if chosen.only in title:
            begun = time.process_time()
            print(f"\n{title}: range over cases of {', '.join(map(str, size.records))} records", flush=True)
            for line in table(np.random.default_rng(chosen.seed), size):
                print(line, flush=True)
            print(f"  ({time.process_time() - begun:.0f} s)")


if __name__ == "__main__":
    main()
