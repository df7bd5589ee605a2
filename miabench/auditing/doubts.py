"""What cannot be true of a trained classifier's answers: signs that files were mixed up, each a warning in words.

Members that are classified worse than non-members, or ranked below them: files exchanged. Accuracy at chance: labels
numbered otherwise than columns. Equal outputs in both files: records, or files, that are in both. Rows of logits that
sum to 1: probabilities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binomtest, fisher_exact, mannwhitneyu

from miabench.auditing.outputs import BINARY, sum_tolerance
from miabench.auditing.predictions import Predictions
from miabench.auditing.references import References
from miabench.evaluation.scoring import members_of
from miabench.logprob import log_odds
from miabench.plugins.attack import Logits, Observed
from miabench.plugins.probes import LogOdds

SURE = 0.001  # probability of a warning where nothing is wrong
UNLIKE_CHANCE = 0.1  # of an accuracy as high as this by guessing: above it, accuracy on members shows no training
SHOWN = 5  # numbers in a message
ROUNDED = 1e-3  # probability to which a copy written with three decimals agrees on every record
SAME = 4  # decimals to which outputs are compared: the last bits of equal records' depend on the batch


def doubts_of_files(files: Sequence[Predictions]) -> Iterator[str]:
    """Files that hold the same under two names; those of one model, members and non-members, are judged as records."""
    seen: dict[int, Predictions] = {}
    for i, file in enumerate(files):
        first = seen.setdefault(hash((file.logits.tobytes(), file.labels.tobytes())), file)
        if first is not file and i != 1:
            yield f"{file.path} holds the same predictions as {first.path}: is it a copy under another name?"


def doubts_of_form(files: Sequence[Predictions]) -> Iterator[str]:
    """Logits that look like probabilities."""
    if all(file.form == "logits" and look_like_probabilities(file.logits) for file in files):
        yield "every row of logits lies in 0 to 1 and sums to 1: are these probabilities? Then name them so"


def look_like_probabilities(logits: NDArray[np.float64]) -> bool:
    """Whether every row lies in 0 to 1 and sums to 1, but for rounding; of two classes that came as one, P(y = 1)."""
    alone = logits.shape[1] == 2 and not logits[:, 0].any()
    inside = bool(((logits >= 0) & (logits <= 1 + BINARY)).all())
    tolerance = sum_tolerance(logits.shape[1]) + BINARY
    return inside and (alone or bool((np.abs(logits.sum(1) - 1) <= tolerance).all()))


def doubts_of_model(seen: Observed) -> Iterator[str]:
    """What is strange about one model's answers to its members and non-members."""
    member = members_of(seen)
    correct = seen[Logits()].argmax(1) == seen.labels
    chance = list(_at_chance(correct[member], seen.num_classes))
    yield from chance or _exchanged(seen, correct, member)
    yield from _in_both(seen, member)


def doubts_of_references(seen: Observed, references: References) -> Iterator[str]:
    """Reference models that answer about other records, or trained on others than is said."""
    member = members_of(seen)
    own = expit(log_odds(seen[Logits()], seen.labels))
    twins = [k for k, one in enumerate(references.answers[LogOdds()]) if (np.abs(expit(one) - own) <= ROUNDED).all()]
    if twins:
        yield (
            f"{_models(twins)} not differ from the target on any record but by rounding: references are other models, "
            "and the target among them hides its members"
        )
    unlike = [k for k, right in enumerate(references.correct) if _like_guessing(right, seen.num_classes)]
    if unlike:
        yield (
            f"{_models(unlike)} not classify the records better than chance: are references' records in the order of "
            "the members' file, then the non-members'?"
        )
        return
    sure, odds = SURE / len(references), references.answers[LogOdds()]
    masks = list(enumerate(references.inside))
    both = [(k, inside) for k, inside in masks if inside.any() and not inside.all()]
    swapped = [k for k, inside in both if _above(odds[k][~inside], odds[k][inside]) < sure]
    if swapped:
        yield (
            f"{_models(swapped)} not answer surer about records that they are said to have trained on, but about the "
            "others: is --reference-member the wrong way round?"
        )
    trained = [k for k, inside in masks if not inside.any() and _above(odds[k][member], odds[k][~member]) < sure]
    if trained:
        yield (
            f"{_models(trained)} not treat members and non-members of the target alike, though said to have trained "
            "on neither: if they did train on members, say so by --reference-member"
        )


def _models(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN])) + (", ..." if len(numbers) > SHOWN else "")
    return f"reference {shown} does" if len(numbers) == 1 else f"references {shown} do"


def _above(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Probability of so high values of one, were they like the other's (Mann and Whitney's test)."""
    return float(mannwhitneyu(one, other, alternative="greater").pvalue)


def _like_guessing(correct: NDArray[np.bool_], num_classes: int) -> bool:
    chance = binomtest(int(correct.sum()), len(correct), 1 / num_classes, alternative="greater")
    return bool(chance.pvalue > UNLIKE_CHANCE)


def _at_chance(correct: NDArray[np.bool_], num_classes: int) -> Iterator[str]:
    if _like_guessing(correct, num_classes):
        share, chance = correct.mean(), 1 / num_classes
        yield (
            f"accuracy on members is {100 * share:.1f}, {'below' if share < chance else 'not above'} chance "
            f"({100 * chance:.4g}%): are labels the numbers of the columns?"
        )


def _exchanged(seen: Observed, correct: NDArray[np.bool_], member: NDArray[np.bool_]) -> Iterator[str]:
    odds = log_odds(seen[Logits()], seen.labels)
    below = mannwhitneyu(odds[member], odds[~member], alternative="less")
    counts = np.array([[part.sum(), (~part).sum()] for part in (correct[member], correct[~member])])
    worse = fisher_exact(counts, alternative="less").pvalue < SURE
    if worse or below.pvalue < SURE:
        train, test = (100 * right / (right + wrong) for right, wrong in counts)
        auc = 100 * below.statistic / (member.sum() * (~member).sum())
        signs = [f"members are classified worse than non-members ({train:.1f} against {test:.1f})"] * bool(worse)
        signs += [f"attacks rank members below non-members (AUC {auc:.1f})"] * bool(below.pvalue < SURE)
        yield f"{', and '.join(signs)}: were members and non-members exchanged?"


def _in_both(seen: Observed, member: NDArray[np.bool_]) -> Iterator[str]:
    """Non-members with a member's outputs and label, where more have one than records of one kind have of another.

    Coarse outputs (saturated, few decimals, few classes) repeat among members, and among non-members, just as often.
    """
    rows = np.column_stack([seen[Logits()].round(SAME) + 0.0, seen.labels])  # -0 is 0
    inside, outside = (Counter(row.tobytes() for row in rows[kind]) for kind in (member, ~member))
    both = sum(count for row, count in outside.items() if row in inside)
    repeated = max(sum(n for n in kind.values() if n > 1) / kind.total() for kind in (inside, outside))
    copied = inside == outside
    if both and (copied or binomtest(both, outside.total(), repeated, alternative="greater").pvalue < SURE):
        yield (
            f"{both} of {outside.total()} non-members have exactly the outputs and the label of a member: "
            "are these records in both files?"
        )
