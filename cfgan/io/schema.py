"""Plain values from a person into a pydantic model, with errors that name the setting and the nearest valid one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cfgan.errors import SpecError, nearest

Model = TypeVar("Model", bound=BaseModel)

_INNER = ("function-", "dict[", "list[", "literal[")  # pydantic's own words in the place of an error


def validated(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """Validate ``values``.

    Args:
        model: pydantic model that forbids other settings.
        values: setting -> value.
        where: what the values were read from, for the message.

    Raises:
        SpecError: an unknown setting or a value that does not fit; carries the nearest settings or words.
    """
    for key in values:
        if key not in model.model_fields:
            close = nearest(str(key), model.model_fields)
            raise SpecError(f"there is no setting {key!r}.", field=where, value=key, nearest=close)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        *outer, last = map(str, first["loc"]) if first["loc"] else ("",)
        path = [part for part in outer if not part.startswith(_INNER)]
        path += [] if last.startswith(_INNER) and first["type"] != "extra_forbidden" else [last]
        shown = repr(first["input"])
        shown = shown if len(shown) < 60 else shown[:57] + "..."
        message = first["msg"][:1].lower() + first["msg"][1:]
        close = []
        if first["type"] == "extra_forbidden":
            close = nearest(path[-1], _settings(model, path[:-1]))
        elif first["type"] == "literal_error" and isinstance(first["input"], str):
            close = nearest(first["input"], _words(model, path))
        raise SpecError(
            f"{shown}: {message}.", field=f"{where}: {'.'.join(path)}", value=first["input"], nearest=close
        ) from None


def _words(model: type[BaseModel], path: list[str]) -> list[str]:
    """The words that a setting of the model takes, where it takes nothing else."""
    field = model.model_fields.get(path[0]) if len(path) == 1 else None
    return [] if field is None or get_origin(field.annotation) is not Literal else list(get_args(field.annotation))


def _settings(model: type[BaseModel], path: list[str]) -> list[str]:
    """The settings of the model that stands at ``path`` inside another."""
    for key in path:
        field = model.model_fields.get(key)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)
