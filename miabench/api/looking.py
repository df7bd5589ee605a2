"""What reads stored results: `report`, `compare`, `recommend`, `gate` and `status`. Nothing is trained or stored.

What `report`, `recommend` and `gate` compute from many stored files is kept in the user's cache.
Annotations are evaluated here, unlike elsewhere: the command line reads options from them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from miabench.api.experiments import STORE, Source, planned, resolved, stored
from miabench.api.options import Option, RunOptions, StoredOptions, spelled_out
from miabench.errors import MissingStepError, UserError, nearest
from miabench.files.paths import expanded

if TYPE_CHECKING:
    from miabench.jobs.status import Status
    from miabench.reports.numbers.recommendation import Recommendation
    from miabench.reports.numbers.side_by_side import PaperComparison
    from miabench.reports.write import Report
    from miabench.results.gate import Finding
    from miabench.results.results import Results
    from miabench.store.store import Store

METRICS = "auc, balanced-accuracy, tpr@1%, tnr@1%, calibrated-tpr@1%, advantage, far and others"

Within = Annotated[
    float, Option("points of accuracy that a defense may cost for its values to be marked", "POINTS", float)
]


@spelled_out
def report(
    experiment: Source = None,
    *,
    within: Within = 5.0,
    metric: Annotated[str, Option(f"of the attacks: {METRICS}", "NAME")] = "auc",
    rows: Annotated[
        str | Sequence[str], Option("defenses to show, * for anything (repeatable)", "NAME", list[str])
    ] = (),
    columns: Annotated[
        str | Sequence[str], Option("attacks to show, * for anything (repeatable)", "NAME", list[str])
    ] = (),
    sort: Annotated[str | None, Option("an attack, worst, test-accuracy or train-accuracy", "COLUMN")] = None,
    details: Annotated[bool, Option("every attack, adaptivity gaps and costs too", "", bool)] = False,
    **options: Unpack[StoredOptions],
) -> "Report":
    """The stored results of an experiment.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        within: points of test accuracy below the baseline's at which a value can still be marked best.
        metric: of the attacks.
        rows: names or labels of the defenses to show, `*` for anything; all if empty.
        columns: labels of the attacks to show, likewise.
        sort: an attack's label or `worst` (lowest first), `test-accuracy` or `train-accuracy` (highest first).
        details: whether the printed table is followed by every attack, the adaptivity gaps and the costs.
        **options: see the signature.

    Returns:
        The report: a table where a notebook shows it; `text(form)`, `save(folder)` with its plots, and `table`, the
        tidy DataFrame.

    Raises:
        UserError: the store has no results of it; a metric, row, column or sort key that nothing matches.
    """
    results = stored(experiment, options)
    from miabench.reports.numbers.selection import Selection
    from miabench.reports.write import Report

    made = Report(results, within, Selection(metric, _several(rows), _several(columns), sort), details)
    made.summary  # noqa: B018  # what the selection does not find is said now
    return made


def _several(names: Any) -> tuple[Any, ...]:
    """One or more, as given."""
    return (names,) if isinstance(names, (str, Mapping)) else tuple(names)


@spelled_out
def compare(
    experiment: Source = None,
    *,
    paper: str = "uai24",
    anyway: bool = False,
    **options: Unpack[StoredOptions],
) -> "PaperComparison":
    """A paper's published values beside the stored ones.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        paper: whose values: `uai24`, Fang and Kim's Tables 1 and 3, are those that come with the package.
        anyway: compare scaled experiments and other data too.
        **options: see the signature.

    Returns:
        What can be compared, with differences and their intervals.

    Raises:
        UserError: the store has no results of it; nothing can be compared; not like with like, without `anyway`.
    """
    if paper != "uai24":
        raise UserError(f"there are no published values of {paper!r}{nearest(paper, ['uai24'])}")
    results = stored(experiment, options)
    from miabench.reports.numbers.side_by_side import side_by_side
    from miabench.reports.numbers.summary import summarize

    return side_by_side(summarize(results), anyway)


@spelled_out
def recommend(
    experiment: Source = None,
    *,
    budget: float | str,
    within: Within = 5.0,
    metric: str = "auc",
    **options: Unpack[StoredOptions],
) -> "list[Recommendation]":
    """The defense to use where some accuracy may be lost.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        budget: points of test accuracy that may be lost against the baseline; as text, `accuracy=1.0`.
        within: points of test accuracy, as in `report`.
        metric: of the attacks, as in `report`.
        **options: see the signature.

    Returns:
        A recommendation for every dataset, model and attacker; printed, it is some sentences.

    Raises:
        UserError: the store has no results of it; a budget that cannot be read.
    """
    from miabench.reports.numbers.evidence import judge
    from miabench.reports.numbers.recommendation import points
    from miabench.reports.numbers.recommendation import recommend as recommended
    from miabench.reports.numbers.summary import summarize

    spend = points(budget if isinstance(budget, str) else f"accuracy={budget}")
    results = stored(experiment, options)
    summary = summarize(results, metric, within)
    found = list(recommended(results, summary, judge(results, summary), spend))
    results.derived.save()
    return found


@spelled_out
def gate(
    experiment: Source = None,
    *,
    max: Annotated[
        str | Sequence[str] | Mapping[str, float],
        Option(f"a limit of {METRICS}: for example auc=0.60 (repeatable)", "METRIC=LIMIT", list[str]),
    ],
    **options: Unpack[StoredOptions],
) -> "list[Finding]":
    """Whether every interval is within the limits.

    The upper end of the 95% interval counts, in every run, for every attack or those that are named: whether the
    experiment was run with them alone or with others beside them.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        max: limits, as `{"auc": 0.6}` or `"auc=0.6"`; all must hold.
        **options: see the signature.

    Returns:
        Every measured value with its limit; `all(finding.passes for finding in ...)` is the verdict.

    Raises:
        UserError: the store has no results of it; no such metric or attack; nothing that could be measured at all.
    """
    found, attacks = _with_attacks(experiment, options)
    from miabench.results.gate import Limit
    from miabench.results.gate import gate as compared

    given = [f"{name}={limit}" for name, limit in max.items()] if isinstance(max, Mapping) else _several(max)
    return list(compared(found, [Limit.parse(text) for text in given], attacks))


def _with_attacks(experiment: Source, options: StoredOptions) -> "tuple[Results, tuple[str, ...]]":
    """The results of an experiment with the attacks that are named, and which of its attacks count.

    It may have been run with them alone, as by `run --attack`, or with others beside them.
    """
    named = _several(options.get("attack", options.get("attacks", ())))
    if not named:
        return stored(experiment, options), ("all",)
    rest: Any = {name: value for name, value in options.items() if name not in ("attack", "attacks")}
    try:
        return stored(experiment, options), ("all",)
    except MissingStepError:
        with suppress(MissingStepError):
            return stored(experiment, rest), named
        raise


@spelled_out
def status(experiment: Source = None, **options: Unpack[RunOptions]) -> "Status":
    """What of an experiment is done, running, missing and failed.

    Needs the data only where the experiment was never run with this store. Writes nothing.

    Args:
        experiment: a TOML file, a preset's name, a dict like the TOML, an `Experiment`; None for the default preset.
        **options: see the signature.

    Returns:
        Counts of jobs by kind and state, how far running ones are, why others failed, and how long all takes;
        printed, a line of each.

    Raises:
        UserError: whatever is wrong with the experiment, its files or its data; the folder is there and no store.
    """
    if found := watched(experiment, **options):
        return found
    from miabench.jobs.status import status as status_of

    with TemporaryDirectory() as elsewhere:  # looking writes nothing: lists of records that a plan makes go here
        plan = planned(experiment, {**options, "store": elsewhere}, say=False)
        return status_of(plan.listed.jobs, _existing(options) or plan.store)


def watched(experiment: Source = None, **options: Unpack[RunOptions]) -> "Status | None":
    """As `status`, from the store alone; None where the experiment was never run with it, or it is not made yet."""
    from miabench.jobs.status import status as status_of
    from miabench.results.job_list import JobList, begun

    one = resolved(experiment, options)
    with suppress(MissingStepError):
        if (store := _existing(options)) and (listed := JobList.load(store, one)):
            return status_of(listed.jobs, store, begun(store, one))
    return None


def _existing(options: RunOptions) -> "Store | None":
    from miabench.store.store import Store

    folder = expanded(options.get("store", STORE))
    return Store(folder, create=False) if folder.exists() else None
