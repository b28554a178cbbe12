"""``module:function``: the user's own source.

It is named in the configuration or on the command line, never over HTTP. The function is called with the
arguments of the spec, and gives an iterator or another iterable, most often because it is a generator
function; ``@threadsafe_generator`` on it changes nothing else. It may say more:

- a parameter ``resume_at``: it is called with the seq that it shall yield first (cursor + 1, so 1 at first),
  and goes on from there by itself. Without one it is run again from the start after a restart
  (``replay.py``), so it must yield the same values each time;
- ``@threadsafe_generator(resume="anew")``: its values need not repeat (a random search, an API, a cursor of a
  database). After a restart it is run anew; nothing is skipped or compared;
- an attribute ``wide``: ``generate.wide = True`` makes every value a JSON string; see ``encode.py``.

Code is loaded once: what is changed in it counts after a restart of the server.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Set
from functools import partial
from types import ModuleType
from typing import Any, Final

from ..errors import SourceInvalid, SourceUnknown
from ..iterators import threadsafe_generator
from ..quote import message_of
from .arguments import bind, parameters
from .context import Context
from .replay import CURE_OF_A_FUNCTION
from .source import Definition, Position, Replayed, Started
from .spec import SourceSpec

Function = Callable[..., Any]


def load(name: str) -> Function:
    """Import ``module:function`` (or ``module:object.function``), from the current directory too.

    Raises:
        SourceUnknown: there is no such module or attribute.
        SourceInvalid: the module raised, or what it has there can't be a source.
    """
    module_name, _, path = name.partition(":")
    found = _import(name, module_name)
    try:
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except AttributeError:
        raise SourceUnknown(f"{name}: the module {module_name!r} has no {path!r}") from None
    return _checked(name, found)


_imported: Final[dict[str, int | None]] = {}
"""When the files of users' modules were changed last, as they were imported: beside ``sys.modules``."""


def changed_file(name: str) -> str | None:
    """The file of ``module:function``, if it was changed since it was imported."""
    module = name.partition(":")[0]
    before, file = _imported.get(module), _file(sys.modules.get(module))
    now = _changed_at(file)
    return file if before is not None and now is not None and before != now else None


def _file(module: ModuleType | None) -> str | None:
    """The file of a module; those that are written in C may have none."""
    return getattr(module, "__file__", None)


def _changed_at(file: str | None) -> int | None:
    try:
        return None if file is None else os.stat(file).st_mtime_ns
    except OSError:  # in an archive, or gone
        return None


def _import(name: str, module: str) -> Any:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # as uvicorn does
    importlib.invalidate_caches()
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise SourceInvalid(f"{name}: {module!r} can't be imported: {message_of(error)}") from error
        raise SourceUnknown(f"{name}: there is no module {module!r} in {here} or on Python's path") from None
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        raise SourceInvalid(
            f"{name}: {module!r} raised {type(error).__name__}: {message_of(error)}"
        ) from error
    if module not in _imported:
        _imported[module] = _changed_at(_file(found))
    return found


def _checked(name: str, found: Any) -> Function:
    if inspect.isasyncgenfunction(found) or inspect.iscoroutinefunction(found):
        raise SourceInvalid(f"{name}: {_NO_ASYNC}")
    if callable(found):
        return found  # type: ignore[no-any-return]
    hint = ": name the function that makes it" if isinstance(found, Iterator) else ""
    raise SourceInvalid(f"{name}: is of type {type(found).__qualname__}, not a function{hint}")


_NO_ASYNC = (
    "is asynchronous, which can't be a source: it belongs to one event loop, "
    "and a source is shared by threads. Make it a plain generator function"
)


def bind_function(spec: SourceSpec, function: Function) -> dict[str, Any]:
    """The arguments by name, as the signature has them. Defaults may change, so none is left out."""
    takes = parameters(function)
    if runs_anew(function) and _resumes(function):
        raise SourceInvalid(f'{spec.name}: takes resume_at and says resume="anew"; keep one of them')
    if "resume_at" in spec.args:
        raise SourceInvalid(f"{spec.name}.resume_at: is given by the queue")
    if takes is None:
        if spec.positional:
            raise SourceInvalid(f"{spec.name}: has no signature to read; give its arguments by name")
        return dict(spec.args)
    nameless = [p for p in takes if p.kind is inspect.Parameter.POSITIONAL_ONLY and p.default is p.empty]
    if nameless:
        raise SourceInvalid(
            f"{spec.name}.{nameless[0].name}: has no name to be given by; make it a named one"
        )
    return bind(spec, tuple(p for p in takes if p.name != "resume_at"))


def define_function(context: Context, name: str, function: Function, args: Mapping[str, Any]) -> Definition:
    """The definition of ``function`` with its bound ``args``."""
    wide = getattr(function, "wide", False) is True
    encode = context.encode(wide=wide)
    call = partial(_undecorated(function), **args)
    if _resumes(function):

        def start(position: Position) -> Iterator[object]:
            return _start(name, partial(call, resume_at=position.cursor + 1))

        return Started(start, encode, "at", wide)
    if runs_anew(function):
        return Started(lambda position: _start(name, call), encode, "anew", wide)
    return Replayed(lambda: _start(name, call), encode, wide, cure=CURE_OF_A_FUNCTION)


def runs_anew(function: Function) -> bool:
    """Whether the function says that its values need not repeat."""
    return getattr(function, "resume", None) == "anew"


@threadsafe_generator
def _decorated() -> Iterator[None]:
    yield


_DECORATION: Final = getattr(_decorated, "__code__", None)


def _undecorated(function: Function) -> Function:
    """The function without ``@threadsafe_generator``: the lock of the queue's own iterator is enough.

    Other decorators stay, as they may change what is yielded.
    """
    if _DECORATION is None or getattr(function, "__code__", None) is not _DECORATION:
        return function
    plain: Any = getattr(function, "__wrapped__")  # noqa: B009  # not of every callable
    owner = getattr(function, "__self__", None)
    return plain if owner is None else plain.__get__(owner)  # type: ignore[no-any-return]


def _resumes(function: Function) -> bool:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return any(p.name == "resume_at" and p.kind in named for p in parameters(function) or ())


def _start(name: str, call: Callable[[], Any]) -> Iterator[object]:
    """Call the function. An exception of it comes at the first value, as from a generator."""
    try:
        result = call()
    except Exception as error:
        return _raising(error)
    if problem := _not_a_source(result):
        raise SourceInvalid(f"{name}: {problem}")
    return iter(result)


def _raising(error: Exception) -> Iterator[object]:
    raise error
    yield


def _not_a_source(result: object) -> str | None:
    kind = type(result).__qualname__
    if inspect.iscoroutine(result):
        result.close()
        return _NO_ASYNC
    if isinstance(result, AsyncIterable) and not isinstance(result, Iterable):  # a shared iterator is both
        return _NO_ASYNC
    if isinstance(result, (str, bytes, bytearray, Mapping)):
        return f"gave a value of type {kind}; its parts are hardly meant as values: yield values one by one"
    if isinstance(result, Set):
        return f"gave a value of type {kind}, whose order changes with each restart: return a sorted list"
    if not isinstance(result, Iterable):
        return (
            f"gave a value of type {kind}, which can't be iterated: make it a generator function (with yield)"
        )
    return None
