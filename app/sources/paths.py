"""The files that a source may read."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import Forbidden, SourceInvalid
from ..quote import quoted
from .arguments import string


def locate(source: str, path: str, root: str | None) -> Path:
    """The regular file that ``path`` names, readable now.

    Without a ``root``, paths are relative to the current directory and may be anywhere (``~`` is the home
    directory). With one they are relative to it, and must be inside of it once every symbolic link is
    resolved; that is judged each time the source is opened, and before anything is said of the file.

    Raises:
        SourceInvalid: there is no such regular file, or it can't be read.
        Forbidden: it is outside of ``root``.
    """
    where = f"{source}.path"
    name = string(where, path)
    base = None if root is None else Path(string(f"{source}.root", root))
    shown = repr(name) if base is None else quoted(name)  # whole to whoever wrote the configuration
    try:
        file = Path(name).expanduser() if base is None else _inside(base, name)
        regular = file.is_file()
        exists = regular or file.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a loop of links, a NUL, no home
        raise SourceInvalid(f"{where}: {shown} can't be a path: {_reason(error)}") from None
    if not exists:
        raise SourceInvalid(f"{where}: there is no file {shown}{'' if base else f' in {Path.cwd()}'}")
    if not regular:
        raise SourceInvalid(f"{where}: {shown} is not a regular file; push the lines of a stream instead")
    if not os.access(file, os.R_OK):
        raise SourceInvalid(f"{where}: {shown} may not be read by this process")
    return file


def _reason(error: Exception) -> str:
    """The system's reason, without the path that its message repeats."""
    return (error.strerror or "") if isinstance(error, OSError) else str(error)


def _inside(root: Path, name: str) -> Path:
    file = (root / name).resolve()
    if not file.is_relative_to(root.resolve()):
        raise Forbidden(f"{quoted(name)} is outside of the folder that files may be read from", field="path")
    return file
