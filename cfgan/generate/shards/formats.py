"""The files that shards are: tar as WebDataset reads it, Parquet as Hugging Face's datasets and pandas do.

Adding a format: one function that encodes rows, and a line in :data:`FORMATS`.
"""

from __future__ import annotations

import importlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cfgan.attributes.spec import Plan
from cfgan.errors import InputError
from cfgan.io.extras import require_pyarrow


@dataclass(frozen=True)
class Row:
    """One face of a shard.

    Args:
        key: names it within all shards of a plan.
        png: the image's file.
        about: file, draw, seed, sha256, condition and verifier by attribute, request (its name) and requested values.
    """

    key: str
    png: bytes
    about: dict[str, Any]


Encode = Callable[[Sequence[Row], Sequence[str], Plan], bytes]


@dataclass(frozen=True)
class ShardFormat:
    """A kind of file. ``encode`` takes rows, the vocabulary and the plan, and always gives the same bytes for them."""

    title: str
    ending: str
    encode: Encode


def require_format(kind: str) -> ShardFormat:
    """The format of a name.

    Raises:
        InputError: there is none, or a package that it needs is missing.
    """
    if kind not in FORMATS:
        raise InputError(f"{kind!r} is not a format of shards.", field="--shards", value=kind, nearest=[*FORMATS])
    form = FORMATS[kind]
    if kind == "parquet":
        require_pyarrow(field="--shards", value=kind)
    return form


def _tar(rows: Sequence[Row], names: Sequence[str], plan: Plan) -> bytes:
    """Two members a face, KEY.png and KEY.json, without owner or time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in rows:
            text = json.dumps(row.about, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
            for ending, data in (("png", row.png), ("json", text)):
                member = tarfile.TarInfo(f"{row.key}.{ending}")
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _parquet(rows: Sequence[Row], names: Sequence[str], plan: Plan) -> bytes:
    """A row a face: image {bytes, path}, and the columns of a batch's manifest."""
    # Imported by name: pyarrow is an optional extra.
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    requested = [name for name in names if any(name in cell.request for cell in plan.cells)]
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    kinds = {"image": image, "draw": arrow.int64(), "seed": arrow.int64(), "sha256": arrow.string()}
    kinds |= {"request": arrow.string()}
    kinds |= {f"requested.{name}": arrow.float64() for name in requested}
    for part in ("condition", "verifier"):
        kinds |= {f"{part}.{name}": arrow.float32() for name in names}
    # What `datasets` reads to decode the images: https://huggingface.co/docs/datasets (Features in the schema).
    words = {"int64": "int64", "string": "string", "double": "float64", "float": "float32"}
    features = {
        title: {"_type": "Image"} if title == "image" else {"dtype": words[str(kind)], "_type": "Value"}
        for title, kind in kinds.items()
    }
    about = {"huggingface": json.dumps({"info": {"features": features}}), "cfgan": json.dumps({"synthetic": True})}
    columns: dict[str, list[Any]] = {"image": [{"bytes": row.png, "path": row.about["file"]} for row in rows]}
    for title in ("draw", "seed", "sha256", "request"):
        columns[title] = [row.about[title] for row in rows]
    for name in requested:
        columns[f"requested.{name}"] = [row.about["requested"].get(name) for row in rows]
    for part in ("condition", "verifier"):
        for name in names:
            columns[f"{part}.{name}"] = [row.about[part][name] for row in rows]
    table = arrow.table(columns, schema=arrow.schema(list(kinds.items()), metadata=about))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd", row_group_size=1024)
    return buffer.getvalue()


FORMATS = {
    "tar": ShardFormat("tar files of PNG and JSON, as WebDataset reads them", "tar", _tar),
    "parquet": ShardFormat("Parquet with the images' bytes", "parquet", _parquet),
}
"""Name -> format."""
