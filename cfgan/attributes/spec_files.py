"""Finding spec files, by path or by the name of a shipped one, and following ``extends``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgan.errors import SpecError, nearest
from cfgan.io.files import is_safe_name, real_path, user_path
from cfgan.io.yaml import parse_yaml, read_text_limited

_ENDINGS = (".yaml", ".yml", ".json")
_MAX_DEPTH = 8

UNSPECIFIED = "unspecified"
_OLD_NAME = "free"
_OLD_WORDS = {"natural": "sample", "neutral": "zero"}

TESTSETS = "testsets"
LISTED_BY = {"": "spec list", TESTSETS: "testset list"}
"""Kind of shipped spec -> the command that lists them."""


def shipped_folder() -> Path:
    """The folder of the shipped specs: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).parent.parent
    inside = package / "attribute_specs"
    return inside if inside.is_dir() else package.parent / "attribute_specs"


def shipped_specs(kind: str = "") -> dict[str, Path]:
    """Name -> file of every shipped spec, sorted by name; ``kind``: a subfolder, such as that of the test sets."""
    return {path.stem: path for path in sorted((shipped_folder() / kind).glob("*.yaml"))}


def find_spec(name_or_path: str, *, beside: Path | None = None, kind: str = "") -> Path:
    """The file that a name or path means: a file that exists, else a shipped spec of that name.

    Args:
        name_or_path: as the user gave it.
        beside: folder that relative paths start from; the working directory when None.
        kind: of shipped spec, as for :func:`shipped_specs`.

    Raises:
        SpecError: neither a file nor a shipped name; carries the nearest names.
    """
    path = user_path(name_or_path, field="spec") if beside is None else beside / name_or_path
    if path.is_file():
        return path
    shipped = shipped_specs(kind)
    stem = name_or_path
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    if is_safe_name(stem):
        for name, file in shipped.items():
            if name.casefold() == stem.casefold():
                return file
    if path.is_dir():
        raise SpecError(f"{path} is a folder, not a spec file.", field="spec", value=name_or_path)
    raise SpecError(
        f"there is no file and no shipped spec {name_or_path!r} (`cfgan {LISTED_BY[kind]}` lists those)."
        + (f" Looked in {beside.name}/." if beside is not None else ""),
        field="spec",
        value=name_or_path,
        nearest=nearest(Path(stem).name, shipped),
    )


def load_spec_file(
    name_or_path: str, *, beside: Path | None = None, kind: str = "", _seen: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """The values of a spec file with everything that it ``extends`` merged in.

    Raises:
        SpecError: not found, not YAML or JSON, not a mapping, or ``extends`` in a circle or more than eight deep.
    """
    path = real_path(find_spec(name_or_path, beside=beside, kind=kind))
    if path in _seen:
        raise SpecError("extends itself, directly or through others.", field=f"{path.name}: extends", value=path.name)
    if len(_seen) >= _MAX_DEPTH:
        raise SpecError(f"more than {_MAX_DEPTH} files deep.", field=f"{path.name}: extends", value=path.name)
    values = parse_yaml(read_text_limited(path), name=path.name)
    if isinstance(values, list) and not kind:
        values = {"requests": values}
    if not isinstance(values, Mapping):
        what = "a mapping of settings" if kind else "a mapping of settings or a list of requests"
        raise SpecError(f"{what} is expected.", field=path.name)
    if not all(isinstance(key, str) for key in values):
        raise SpecError("every setting must be a name.", field=path.name)
    values = current_words(values, path.name)
    if "extends" not in values:
        return values
    if not isinstance(values["extends"], str) or not is_safe_name(values["extends"]):
        raise SpecError(
            "the name of one file beside this one, or of a shipped spec, is expected.",
            field=f"{path.name}: extends",
            value=values["extends"],
        )
    base = load_spec_file(values["extends"], beside=path.parent, kind=kind, _seen=(*_seen, path))
    base = {key: value for key, value in base.items() if key not in ("name", "description")}  # they speak of the base
    merged = {**base, **{key: value for key, value in values.items() if key != "extends"}}
    if isinstance(base.get("verify"), Mapping) and isinstance(values.get("verify"), Mapping):
        merged["verify"] = merge_verify(base["verify"], values["verify"])
    return merged


def current_words(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings in today's words: ``free: natural`` and ``free: neutral`` are what ``unspecified: sample`` and
    ``unspecified: zero`` were called first, and what batches and test sets still hold.

    Raises:
        SpecError: both names are given.
    """
    if _OLD_NAME in values and UNSPECIFIED in values:
        raise SpecError(f"give either {UNSPECIFIED} or {_OLD_NAME}, not both.", field=f"{where}: {UNSPECIFIED}")
    found = {UNSPECIFIED if key == _OLD_NAME else key: value for key, value in values.items()}
    word = found.get(UNSPECIFIED)
    if isinstance(word, str):
        found[UNSPECIFIED] = _OLD_WORDS.get(word, word)
    return found


def as_stored(unspecified: str | dict[str, float]) -> str | dict[str, float]:
    """What happens to attributes that are not asked for, in the words that files have under ``free``."""
    if isinstance(unspecified, dict):
        return dict(unspecified)
    return next(old for old, word in _OLD_WORDS.items() if word == unspecified)


def merge_verify(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of ``verify`` overridden one by one; a threshold replaces a precision and the other way round."""
    kept = dict(base)
    for one, other in (("threshold", "precision"), ("precision", "threshold")):
        if values.get(one) is not None:
            kept.pop(other, None)
    return {**kept, **values}
