"""What the settings of a training configuration mean, as the configuration itself says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from cfgan.training.config import AnyConfig

_WORDS = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text", "null": "none"}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        name: as in a recipe, or after ``--set``.
        values: which ones it takes, in words.
        default: as YAML writes it.
        unit: such as "images"; "" where there is none.
        meaning: what it does.
    """

    name: str
    values: str
    default: str
    unit: str
    meaning: str


def describe_settings(kind: type[AnyConfig]) -> list[Setting]:
    """The settings of a configuration in their order."""
    schema = TypeAdapter(kind).json_schema()
    return [
        Setting(name, _values(part), _yaml(part["default"]), part["unit"], part["description"])
        for name, part in schema["properties"].items()
    ]


def _values(part: Mapping[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(_values(each) for each in part["anyOf"])
    if "enum" in part:
        return ", ".join(part["enum"])
    if part["type"] == "array":
        return f"list: {_values(part['items'])}"
    words = _WORDS[part["type"]]
    limits = [
        f"{sign} {part[key]:g}"
        for key, sign in (("exclusiveMinimum", "above"), ("minimum", "from"), ("exclusiveMaximum", "below"))
        if key in part
    ]
    limits += [f"to {part['maximum']:g}"] if "maximum" in part else []
    steps = f", a multiple of {part['multipleOf']:g}" if "multipleOf" in part else ""
    return " ".join([words, *limits]) + steps


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(_yaml, value))}]" if isinstance(value, list) else str(value)
