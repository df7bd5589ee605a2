"""What attacks other people's models: `audit`.

Annotations are evaluated here, unlike elsewhere: the command line reads options from them.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from miabench.api.options import Files, Option
from miabench.errors import UserError

if TYPE_CHECKING:
    from miabench.auditing.result import Audit


def audit(
    model: Annotated[
        Any, Option("a function that gives the network; files then hold its inputs x and labels", "MODULE:FUNCTION")
    ] = None,
    members: Annotated[Any, Option("npz or CSV of predictions for records the model was trained on", "FILE")] = None,
    nonmembers: Annotated[Any, Option("the same for records it was not trained on", "FILE")] = None,
    *,
    shadow_members: Annotated[Files, Option("of a shadow model (repeatable)", "FILE", list[str])] = (),
    shadow_nonmembers: Annotated[Files, Option("in the same order (repeatable)", "FILE", list[str])] = (),
    reference_answers: Annotated[
        str | Path | None,
        Option("npz: K reference models' outputs (K, N, C) for the members, then the non-members", "FILE"),
    ] = None,
    reference_member: Annotated[
        str | Path | None, Option("npz: which reference trained on which record (K, N); without it none on any", "FILE")
    ] = None,
    features: Annotated[bool, Option("also fit a model-free classifier on the files' features", "", bool)] = False,
    progress: bool = False,
) -> "Audit":
    """Attack a model that was trained elsewhere: files of its predictions, or the network itself.

    Both `audit(members, nonmembers)` and `audit(net, members, nonmembers)` will do, as `range` has it.

    Args:
        model: any network that answers logits (n, C), or a pair (logits, features), on the device where it shall be
            asked; `module:function`, which gives one; None to audit files of predictions alone.
        members: file of predictions for records that the model was trained on, npz or CSV. With a model the records
            themselves: a pair of tensors (x, y), a DataLoader, a Dataset, or an npz of `x` and `labels`.
        nonmembers: of records of the same distribution that it was not trained on.
        shadow_members: files of predictions of shadow models, one each; thresholds and learning attacks need them.
        shadow_nonmembers: in the same order.
        reference_answers: npz of other models' outputs `logits` or `probabilities` (K, N, C), whichever the audited
            model's are, for the N records: the members, then the non-members. Attacks with references need them.
        reference_member: npz of booleans `member` (K, N): which of them trained on which record; by default none did.
        features: also fit a model-free classifier on the records' features.
        progress: say on standard error how far it is.

    Returns:
        What every attack finds that needs no more than was given, and what limits what the values say.

    Raises:
        UserError: all files' problems at once, each with file and row; what is wrong with the model or the records.
    """
    from miabench.auditing.audit import Others, audit_network
    from miabench.auditing.audit import audit as audit_predictions
    from miabench.auditing.progress import Display, silent
    from miabench.auditing.references import reference_files

    if nonmembers is None:
        model, members, nonmembers = None, model, members
    if members is None or nonmembers is None:
        raise UserError("an audit needs both --members and --nonmembers")
    references = reference_files(reference_answers, reference_member)
    others = Others(_files(shadow_members), _files(shadow_nonmembers), references, features)

    with Display() if progress else nullcontext(silent) as listen:
        if model is not None:
            return audit_network(model, members, nonmembers, others, listen)
        return audit_predictions(_file(members), _file(nonmembers), others, listen)


def _files(given: Files) -> list[Path]:
    return [Path(given)] if isinstance(given, (str, Path)) else list(map(Path, given))


def _file(given: Any) -> Path:
    if not isinstance(given, (str, Path)):
        raise UserError(f"without a model, members and nonmembers are files of predictions, not {type(given).__name__}")
    return Path(given)
