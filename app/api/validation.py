"""Models, compiled by the limits of the settings; and pydantic's errors in our words."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, Generic, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from ..errors import DibsError, LimitExceeded
from ..queue.limits import Limits
from ..quote import bare
from .fields import LIMITS
from .json_text import parse
from .problems import RequestRefused

T = TypeVar("T")
Place = tuple[int | str, ...]

TEXTS: Final = {
    "missing": "it is required",
    "dict_type": "it must be an object",
    "list_type": "it must be an array",
    "string_type": "it must be a string",
    "bool_type": "it must be true or false",
}
"""The texts for what pydantic itself refuses; the types of ``fields`` bring their own, with the limit."""


class Model(Generic[T]):
    """One model, compiled. Reading gives what its annotation (``of``) means, or what ``then`` makes of that.

    ``root`` is the field that a refusal names which is about the whole.
    """

    def __init__(
        self,
        of: Any,
        limits: Limits,
        *,
        then: Callable[[Any], T] | None = None,
        root: str = "body",
    ) -> None:
        self._then = then
        self._of = of
        self._root = root
        self._limits = limits
        limits.follow(self._forget)

    def _forget(self) -> None:
        """Compile anew when it is next needed, as the limits have changed."""
        for made in ("adapter", "_validate"):
            self.__dict__.pop(made, None)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Pydantic's compiled form, made when it is first needed."""
        token = LIMITS.set(self._limits)
        try:
            return TypeAdapter(self._of)
        finally:
            LIMITS.reset(token)

    @cached_property
    def _validate(self) -> Callable[[object], Any]:
        return self.adapter.validator.validate_python

    @property
    def name(self) -> str:
        """Its name in the OpenAPI document."""
        return str(_typed_dict(self._of).__name__)

    def parse(self, body: bytes) -> T:
        """What the bytes of a body mean; see ``read``, and ``json_text.parse``."""
        return self.read(parse(body, self._limits.members))

    def read(self, value: object) -> T:
        """What the value means; it is as the parser made it.

        Raises:
            RequestRefused: A field is missing, unknown or wrong.
            LimitExceeded: It is over or under its limit.
        """
        try:
            found = self._validate(value)
        except ValidationError as error:
            raise self._explained(error) from None
        return found if self._then is None else self._then(found)

    def _explained(self, error: ValidationError) -> DibsError:
        """The first thing that is wrong; an unknown field before all else in its object: it may be a typo."""
        found = error.errors(include_url=False)
        place = found[0]["loc"]
        unknown = [each for each in found if each["type"] == "extra_forbidden"]
        first = next((each for each in unknown if _is_inside(place, each["loc"][:-1])), found[0])
        kind, place = first["type"], first["loc"]
        if kind == "string_unicode":  # half of a surrogate pair in a name, which can't be that of a field
            kind, place = "extra_forbidden", (*place, first["input"])
        return self._refusal(kind, place, first["msg"], first.get("ctx", {}))

    def _refusal(self, kind: str, place: Place, why: str, context: dict[str, Any]) -> DibsError:
        if "at" in context:
            place = (*place, context["at"])
        field = ".".join([bare(str(part)) for part in place]) or self._root
        limit = context.get("limit")
        if kind == "too_long":
            limit = context["max_length"]
            kind, why = "limit-exceeded", f"{context['actual_length']} of them; the limit is {limit}"
        if kind == "limit-exceeded":
            return LimitExceeded(f"{field}: {why}", field=field, limit=limit)
        if kind == "extra_forbidden":
            why = f"there is no such field; there are {', '.join(self._known(place))}"
        name = "value-refused" if kind == "value-refused" else "invalid"
        return RequestRefused(name, f"{field}: {TEXTS.get(kind, why)}", field=field, limit=limit)

    def _known(self, place: Place) -> list[str]:
        """The fields of the object at a place."""
        fields = get_type_hints(_typed_dict(self._of))
        for part in place[:-1]:
            if isinstance(part, str):
                fields = get_type_hints(_typed_dict(fields[part]))
        return sorted(fields)


def _is_inside(place: Place, outer: Place) -> bool:
    return place[: len(outer)] == outer


def _typed_dict(hint: Any) -> Any:
    """The model inside an annotation: of a list, or of an optional field."""
    while not is_typeddict(hint):
        hint = getattr(hint, "__origin__", None) if hasattr(hint, "__metadata__") else get_args(hint)[0]
    return hint
