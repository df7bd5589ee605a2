"""Plugin files: importing one, and saying which of them an error comes from."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb, walk_tb
from types import ModuleType

from miabench.errors import UserError, text_of

MODULE_OF_FILE = "miabench_plugin_"  # how the names of modules made from plugin files begin


def file_hash(path: Path) -> str:
    """What stands for a plugin file's content.

    Raises:
        UserError: it cannot be read.
    """
    if path.exists() and not path.is_file():  # a device never ends, a named pipe never begins
        raise UserError(f"cannot read plugin file {path}: it is no regular file")
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read plugin file {path}: {error.strerror}") from None


def module_name(path: Path, sha256: str) -> str:
    """What a plugin file is imported as; a copy in another folder is the same code, and the same module."""
    return f"{MODULE_OF_FILE}{path.stem}_{sha256[:12]}"


def import_file(path: Path, sha256: str) -> ModuleType:
    """Import a file under a name that holds its hash: an edited file is another module."""
    name = module_name(path, sha256)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file; a plugin file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before execution: dataclasses and pickle look their module up here
    from miabench.plugins.process_state import (  # imports torch, as nearly every plugin file does
        ProcessChangedError,
        isolated,
    )

    try:
        with isolated(f"importing {path}", seed=0):
            spec.loader.exec_module(module)
    except ProcessChangedError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        why = describe(error)
        del sys.modules[name]
        raise UserError(f"plugin file {path} cannot be imported: {why}") from error
    return module


def describe(error: BaseException) -> str:
    """An exception in one line, with the file and line that raised it: a plugin file's where one is on the way."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    frames = extract_tb(error.__traceback__)
    files = _plugin_files()
    inside = [frame for frame in frames if frame.filename in files] or frames
    place = f" ({inside[-1].filename}, line {inside[-1].lineno})" if inside else ""
    return f"{type(error).__name__}: {' '.join(text_of(error).split())}{place}"


@contextmanager
def plugin_files_blamed() -> Iterator[None]:
    """Makes an error for the user of what a plugin file raises in the block of `with`: the file is the user's own."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if not _plugin_files().intersection(frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)):
            raise
        raise UserError(describe(error)) from error


def _plugin_files() -> set[str]:
    """The plugin files that are loaded."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(MODULE_OF_FILE)]
    return {str(module.__file__) for module in modules}
