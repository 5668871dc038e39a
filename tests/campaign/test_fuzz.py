"""Damaged files of every kind that is read: nothing but the project's own errors comes of them.

A few hundred examples by default; ``make campaign`` or the environment's ``CFGAN_CAMPAIGN`` asks for more of each kind.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from campaign_helpers import Tally, show
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from cfgan.attributes.vocabulary import Vocabulary
from cfgan.data.decode import load_rgb, read_square, see_picture
from cfgan.data.read.celeba import read_attribute_file
from cfgan.data.source import read_identities
from cfgan.data.store import open_store
from cfgan.data.table import read_labels
from cfgan.errors import CfganError
from cfgan.io.files import read_json_object, write_sealed
from cfgan.io.journal import Journal
from cfgan.io.reading import load_array, load_arrays, load_tensors
from cfgan.io.yaml import parse_yaml, read_text_limited
from cfgan.testsets.scores.candidates import read_candidates
from cfgan.testsets.scores.identification import Protocol
from cfgan.testsets.scores.tables import read_scores
from cfgan.training.prior import load_prior
from cfgan.training.state import load_latest_state, truncate_stats
from cfgan.verify.user_calibration import Fitted, UserCalibration, read_user_calibration

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("CFGAN_CAMPAIGN", "25"))
SECONDS = 60  # that one file may take

Read = Callable[[Path], object]


def image(form: str, mode: str = "RGB") -> bytes:
    y, x = np.mgrid[0:24, 0:20]
    drawn = Image.fromarray(np.stack([12 * x, 10 * y, 5 * (x + y)], 2).astype(np.uint8)).convert(mode)
    out = io.BytesIO()
    drawn.save(out, form)
    return out.getvalue()


def saved(write: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def as_yaml(path: Path) -> object:
    return parse_yaml(read_text_limited(path), name=path.name)


def as_state(path: Path) -> object:
    """A state whose sum fits, whatever is in it."""
    images = path.parent / "state-0000000008.pt"
    images.write_bytes(path.read_bytes())
    write_sealed(images.with_suffix(".json"), {"images": 8, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    return load_latest_state(path.parent, torch.device("cpu"))


def as_store(path: Path) -> object:
    (path.parent / "store.json").write_bytes(path.read_bytes())
    return open_store(path.parent, verify=True)


def as_journal(path: Path) -> object:
    (path.parent / "journal.jsonl").write_bytes(path.read_bytes())
    return Journal(path.parent, {"a": 1}, "another").replay(lambda entry: None)


def as_log(path: Path) -> object:
    return truncate_stats(path, 8)


def named(name: str, read: Read) -> Read:
    """A reader that goes by how a file is called."""

    def as_named(path: Path) -> object:
        target = path.parent / name
        target.write_bytes(path.read_bytes())
        return read(target)

    return as_named


def as_scores(path: Path) -> object:
    return read_scores(path, ["p1", "p2"], key="pair", column="score")


def as_candidates(path: Path) -> object:
    protocol = Protocol(("a", "b"), ("c", "d"), np.asarray([0, -1]))
    return list(read_candidates(path, protocol))


def parquet() -> bytes:
    table = pd.DataFrame({"file": ["a", "b"], "Red": [1.0, None], "who": ["x", "y"]})
    return saved(lambda out: table.to_parquet(out))


TABLE = b"file,Red,who\na.png,1,x\nb.png,0,y\n"
OFFICIAL = b"2\nRed Round\na.jpg 1 -1\nb.jpg -1 -1\n"
OURS = (CfganError,)
CALIBRATION = UserCalibration("0" * 64, "verifier", "center", {"A": Fitted(1.0, 0.0, 0.5, 40, 20, 0.5, 0.6)})
STORE = {"format": "cfgan-store/1", "count": 1, "size": 8, "crop": None, "vocabulary": {"names": ["A"]}}
STORE["sha256"] = dict.fromkeys(("images.npy", "labels.npy", "split.npy", "files.txt"), "0" * 64)
PRIOR = {"bias": np.zeros(2, np.float32), "pairs": np.zeros((2, 2), np.float32)}
NAMES = json.dumps({"names": ["A", "B"]})

KINDS: dict[str, tuple[list[bytes], list[Read], tuple[type[Exception], ...]]] = {
    "png": ([image("PNG"), image("PNG", "P"), image("PNG", "LA")], [load_rgb, see_picture], (CfganError,)),
    "jpeg": ([image("JPEG"), image("JPEG", "L"), image("JPEG", "CMYK")], [load_rgb, see_picture], (CfganError,)),
    "webp": ([image("WEBP"), image("WEBP", "RGBA")], [load_rgb, see_picture], (CfganError,)),
    "bmp": ([image("BMP"), image("BMP", "P"), image("BMP", "1")], [lambda p: read_square(p, 8)], (CfganError,)),
    "json": ([json.dumps(STORE).encode()], [read_json_object, as_store], (CfganError, ValueError)),
    "yaml": (
        [b"a: {b: [1, -2.5, x]}\nc: 'd'\ne: |\n  f\n", b"count: 3\nattributes: [Male, -Young]\n"],
        [as_yaml],
        (CfganError,),
    ),
    "npy": (
        [saved(lambda f: np.save(f, np.arange(12.0)))],
        [load_array, lambda p: load_array(p, mapped=True)],
        (ValueError,),
    ),
    "npz": ([saved(lambda f: np.savez_compressed(f, a=np.arange(12.0)))], [load_arrays], (ValueError,)),
    "safetensors": ([save(PRIOR, {"vocabulary": NAMES})], [load_tensors, load_prior], (CfganError, ValueError)),
    "state": ([saved(lambda f: torch.save({"x": torch.ones(3), "n": 1}, f))], [as_state], (CfganError,)),
    "journal": ([b'{"header": {"a": 1}}\n{"rows": [1], "cell": 0}\n'], [as_journal], (CfganError,)),
    "csv": (
        [TABLE, TABLE.replace(b",", b";"), OFFICIAL, "\ufefffile,Red\n\u00e9,1\n".encode("utf-8")],
        [read_labels, as_scores, as_candidates],
        OURS,
    ),
    "gz": ([gzip.compress(TABLE), gzip.compress(TABLE * 400)], [named("t.csv.gz", read_labels)], OURS),
    "parquet": ([parquet()], [read_labels, as_scores], OURS),
    "jsonl": ([b'{"file": "a", "Red": 1}\n{"file": "b", "Red": null}\n'], [read_labels], OURS),
    "identity": ([b"a.jpg 1\nb.jpg 2\n"], [read_identities, lambda p: read_attribute_file(p)], OURS),
    "matrix": (
        [saved(lambda f: np.save(f, np.zeros((2, 2), np.float32)))],
        [named("m.npy", as_candidates)],
        OURS,
    ),
    "calibration": ([CALIBRATION.to_bytes()], [lambda p: read_user_calibration(p, Vocabulary(("A",)))], OURS),
    "log": ([b'{"images": 8, "loss": 0.1}\n{"images": 16}\n'], [as_log], ()),
}


@st.composite
def damaged(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """A sound file after up to four changes: bytes set, cut out, doubled, put in, the end cut off."""
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 16))
        match draw(st.sampled_from(["set", "cut", "double", "insert", "end"])):
            case "set":
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del data[place : place + length]
            case "double":
                data[place:place] = data[place : place + length]
            case "insert":
                data[place:place] = draw(st.binary(max_size=16))
            case "end":
                del data[place:]
    return bytes(data)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_the_project_s_own_errors(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, readers, allowed = KINDS[kind]
    tally = Tally(f"fuzzed {kind}")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,  # the same count comes of the same setting
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(damaged(whole))
    def attempt(data: bytes) -> None:
        tally.tries += 1
        check(data, tmp_path / f"damaged.{kind}", readers, allowed)

    attempt()
    if "CFGAN_CAMPAIGN" in os.environ:
        with capsys.disabled():
            show(tally, lambda line: print(f"\n{line}", end=""))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"\x80\x04N.", b"\xff" * 64, b"[" * 90_000])
def test_what_no_mutation_finds(kind: str, data: bytes, tmp_path: Path) -> None:
    _, readers, allowed = KINDS[kind]
    check(data, tmp_path / f"damaged.{kind}", readers, allowed)


def test_an_archive_of_nothing_but_zeros_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": (1 << 26,)})
        for _ in range(64):
            out.write(bytes(1 << 20))
    with pytest.raises(ValueError, match="larger than"):
        load_arrays(tmp_path / "a.npz", 1 << 25)


def check(data: bytes, path: Path, readers: list[Read], allowed: tuple[type[Exception], ...]) -> None:
    for read in readers:
        path.write_bytes(data)
        begun = time.monotonic()
        try:
            read(path)
        except allowed as error:
            assert str(error) and len(str(error)) < 1000, error
        assert time.monotonic() - begun < SECONDS
