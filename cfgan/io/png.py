"""Turning pixel arrays into PNG or JPEG bytes that say that they are synthetic, and into contact sheets."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"/>\
</rdf:RDF></x:xmpmeta>"""


def _xmp(kind: str) -> str:
    return _XMP.replace("{kind}", kind)


def encode_png(
    pixels: npt.NDArray[np.uint8],
    text: Mapping[str, Any] | None = None,
    *,
    compress: int = 2,
    marked: bool = True,
    kind: str = "trainedAlgorithmicMedia",
) -> bytes:
    """Encode one image as PNG, marked as synthetic.

    Args:
        pixels: uint8 (3, H, W), RGB.
        text: what the PNG text chunk ``cfgan`` says, as JSON; nothing in it may be a local path.
        compress: zlib level 0..9.
        marked: False leaves the mark out: only where generated and real images must not differ in their files.
        kind: IPTC Digital Source Type: made by a trained model, or "algorithmicMedia", by code alone.

    Returns:
        The file's bytes: the same for the same input and Pillow version.
    """
    info = PngInfo()
    if text is not None:
        info.add_text("cfgan", _json(text))
    if marked:
        # In XMP, as IPTC Photo Metadata prescribes.
        info.add_itxt("XML:com.adobe.xmp", _xmp(kind))
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.save(buffer, "PNG", pnginfo=info, compress_level=compress)
    return buffer.getvalue()


def encode_jpeg(
    pixels: npt.NDArray[np.uint8], text: Mapping[str, Any] | None = None, *, quality: int = 95, marked: bool = True
) -> bytes:
    """Encode one image as JPEG without chroma subsampling, marked as made by a trained model.

    Args:
        pixels: uint8 (3, H, W), RGB.
        text: what the comment segment says, as JSON under the key ``cfgan``; nothing in it may be a local path.
        quality: of libjpeg, 1..95.
        marked: False leaves the mark out: for real images beside generated ones.

    Returns:
        The file's bytes: the same for the same input and Pillow version.
    """
    extra = {} if text is None else {"comment": _json({"cfgan": text}).encode("ascii")}
    if marked:
        extra["xmp"] = _xmp("trainedAlgorithmicMedia").encode("ascii")
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.save(buffer, "JPEG", quality=quality, subsampling=0, **extra)
    return buffer.getvalue()


def _json(text: Mapping[str, Any]) -> str:
    return json.dumps(text, sort_keys=True, separators=(",", ":"))


def grid(images: npt.NDArray[np.uint8], columns: int, *, gap: int = 2) -> npt.NDArray[np.uint8]:
    """Lay images (N, 3, H, W) out in rows of ``columns`` on white; returns uint8 (3, H', W')."""
    n, c, h, w = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((c, rows * (h + gap) + gap, columns * (w + gap) + gap), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = gap + (i // columns) * (h + gap), gap + (i % columns) * (w + gap)
        sheet[:, top : top + h, left : left + w] = image
    return sheet
