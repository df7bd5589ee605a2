"""What attacks other people's predictions: `audit`.

Annotations are evaluated here, unlike elsewhere: the command line reads options from them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from miabench.api.options import Files, Option

if TYPE_CHECKING:
    from miabench.auditing.audit import Audit


def audit(
    members: Annotated[str | Path, Option("npz or CSV of predictions for records the model was trained on", "FILE")],
    nonmembers: Annotated[str | Path, Option("the same for records it was not trained on", "FILE")],
    *,
    shadow_members: Annotated[Files, Option("of a shadow model (repeatable)", "FILE", list[str])] = (),
    shadow_nonmembers: Annotated[Files, Option("in the same order (repeatable)", "FILE", list[str])] = (),
    features: Annotated[bool, Option("also fit a model-free classifier on the files' features", "", bool)] = False,
) -> "Audit":
    """Attack predictions that were made elsewhere, with any framework.

    Args:
        members: file of predictions for records that the model was trained on, npz or CSV.
        nonmembers: of records of the same distribution that it was not trained on.
        shadow_members: the same of shadow models, a file each; thresholds and learning attacks need them.
        shadow_nonmembers: in the same order.
        features: also fit a model-free classifier on the files' features.

    Returns:
        What every attack that needs no access to the model finds, and what limits what the values say.

    Raises:
        UserError: all files' problems at once, each with file and row.
    """
    from miabench.auditing.audit import audit as audited

    shadows, others = (
        [Path(files)] if isinstance(files, (str, Path)) else list(map(Path, files))
        for files in (shadow_members, shadow_nonmembers)
    )
    return audited(Path(members), Path(nonmembers), shadows, others, features)
