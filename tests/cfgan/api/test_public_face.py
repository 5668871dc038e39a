"""``import cfgan``: every public name has an example that runs, and what it gives is what the folders hold."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from score_helpers import draw_pairs, make_set
from serve_helpers import serving

import cfgan
from cfgan.model.bundle import Bundle


@pytest.fixture
def model(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cfgan.Model:
    """A tiny model, in a folder of its own with a label table."""
    monkeypatch.chdir(tmp_path)
    rows = "file,Hat,Smile,photographer,split\na.png,1,0,Ann,train\nb.png,0,1,Ben,train\nc.png,0,,Cem,test\n"
    (tmp_path / "labels.csv").write_text(rows)
    return cfgan.load(tiny_bundle.path, device="cpu")


def documented() -> list[str]:
    """Public names with examples; errors and warnings are named by those who raise them."""
    return [name for name in cfgan.__all__ if not _is_error(name)]


def _is_error(name: str) -> bool:
    found = getattr(cfgan, name)
    return isinstance(found, type) and issubclass(found, Exception)


@pytest.mark.slow
@pytest.mark.parametrize("name", documented())
def test_examples_run(name: str, model: cfgan.Model, tmp_path: Path) -> None:
    pairs = draw_pairs(30)
    given: dict[str, Any] = {"cfgan": cfgan, "model": model, "serving": serving}
    given |= {"testset": make_set(tmp_path / "set", pairs).path, "pairs": [pair.pair for pair in pairs]}
    found = doctest.DocTestFinder(exclude_empty=False).find(getattr(cfgan, name), name, globs=given)
    assert any(test.examples for test in found), f"{name} has no example"
    for test in found:
        said: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE).run(test, out=said.append)
        assert not said, "".join(said)


def test_every_public_name_says_what_it_is() -> None:
    assert set(cfgan.__all__) == {name for names in cfgan._HOME.values() for name in names} <= set(dir(cfgan))
    for name in cfgan.__all__:
        assert getattr(cfgan, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        getattr(cfgan, "lod")  # noqa: B009


@pytest.mark.slow
def test_nothing_heavy_is_loaded_before_something_computes(tiny_bundle: Bundle) -> None:
    code = (
        "import sys, cfgan\n"
        "assert not {'numpy', 'PIL', 'pydantic', 'cfgan.errors'} & set(sys.modules), 'import cfgan is not light'\n"
        f"model = cfgan.load({str(tiny_bundle.path)!r})\n"
        "model.attributes, model.size, model.digest, model.card\n"
        "assert not {'torch', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules), 'load is not light'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_python_m_cfgan_is_the_command_line() -> None:
    run = subprocess.run([sys.executable, "-m", "cfgan", "--version"], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == f"cfgan {cfgan.__version__}" and run.returncode == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"request": "Red,-Cat", "count": 6, "seed": 5},
        {"request": {"Red": True, "Round": 0.5}, "count": 40, "unspecified": "Striped", "verify": False},
        {"spec": {"requests": ["Red", "any"], "seed": 3}, "count": 5},
        {"request": "Red", "vary": ["Cat"], "count": 8, "truncation": 0.7},
    ],
)
def test_faces_in_memory_are_those_of_the_folder(settings: dict[str, Any], model: cfgan.Model, tmp_path: Path) -> None:
    faces = model.generate(**settings)
    batch = model.generate(**settings, out=tmp_path / "batch")
    assert len(faces) == len(batch) == batch.wanted and faces.complete and batch.complete and not batch.check()
    assert faces.draws == batch.draws
    for face, kept in zip(faces, batch, strict=True):
        assert face.png == kept.png and np.array_equal(np.asarray(face.image), np.asarray(kept.image))
        assert (face.file, face.draw, face.seed, face.requested) == (kept.file, kept.draw, kept.seed, kept.requested)
        assert face.condition == pytest.approx(kept.condition) and face.probability == pytest.approx(kept.probability)
    pd.testing.assert_frame_equal(faces.to_pandas(), batch.to_pandas())
    assert [face.file for face in faces[1:3]] == [face.file for face in batch[1:3]] and faces[-1].png == batch[-1].png


def test_when_draws_run_out_the_faces_say_so(model: cfgan.Model, tmp_path: Path) -> None:
    with pytest.warns(cfgan.CfganWarning, match=r"draws ran out: \d+ of 50 faces") as warned:
        faces = model.generate("Red,Striped", count=50, max_draws=20)
    assert not faces.complete and len(faces) < 50 and faces.draws == 20
    assert warned[0].filename == __file__, "the warning points at the caller"
    with pytest.warns(cfgan.CfganWarning, match="draws ran out"):
        assert not model.generate("Red,Striped", count=50, max_draws=20, out=tmp_path / "batch").complete


def test_wrong_requests_are_errors_that_name_the_nearest(model: cfgan.Model) -> None:
    with pytest.raises(cfgan.VocabularyError, match="Did you mean Red"):
        model.generate("Redd")
    with pytest.raises(cfgan.RequestError, match="either a request"):
        model.generate()
    with pytest.raises(cfgan.RequestError, match="either a request"):
        model.generate("Red", spec={"count": 3})
    with pytest.raises(cfgan.FolderError, match="no folder"):
        cfgan.Batch("nowhere")
    with pytest.raises(IndexError, match="2 faces"):
        model.generate("any", count=2)[2]


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_a_saved_image_says_that_it_is_synthetic(ending: str, model: cfgan.Model, tmp_path: Path) -> None:
    face = model.generate("any", count=1)[0]
    face.image.save(tmp_path / f"face.{ending}")
    with Image.open(tmp_path / f"face.{ending}") as image:
        assert b"trainedAlgorithmicMedia" in image.info["xmp"]
        assert ending != "png" or '"synthetic":true' in image.text["cfgan"]
        assert ending != "png" or np.array_equal(np.asarray(image), np.asarray(face.image))
    with (tmp_path / "again.png").open("wb") as handle:
        face.image.save(handle)
    assert b"trainedAlgorithmicMedia" in (tmp_path / "again.png").read_bytes()
    face.save(tmp_path / "file.png")
    assert (tmp_path / "file.png").read_bytes() == face.png


def test_images_that_cannot_be_read_are_named(model: cfgan.Model, tmp_path: Path) -> None:
    model.generate("any", count=1)[0].save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "b.png").write_bytes(b"no image")
    readings = model.verify("photos", "Red")
    assert readings.files == ["a.png", "b.png"] and list(readings.failed) == ["b.png"]
    table = readings.to_pandas()
    assert table["verifier.Red"].isna().tolist() == [False, True] and not readings.meets[1]


@pytest.mark.slow
def test_a_score_without_a_value_is_a_failure_to_acquire(tmp_path: Path) -> None:
    pairs = draw_pairs(30)
    testset = make_set(tmp_path / "set", pairs).path
    scores = pd.Series(np.arange(len(pairs), dtype=float), index=[pair.pair for pair in pairs])
    scores.iloc[[0, 5]] = np.nan
    found = cfgan.score(testset, scores, threshold=10, resamples=100)
    assert found.data["scores"]["without_score"] == 2 and found.data["points"][0]["threshold"] == 10
    found.save(tmp_path / "report")
    assert pd.read_csv(tmp_path / "report" / "rates.csv").shape == found.to_pandas().shape
    with pytest.raises(cfgan.DataError, match="no row for"):
        cfgan.score(testset, scores.iloc[1:], resamples=100)


def test_errors_name_parameters_and_not_options(model: cfgan.Model, tmp_path: Path) -> None:
    model.generate("Red", count=2, out=tmp_path / "red")
    pairs = draw_pairs(30)
    testset, names = make_set(tmp_path / "set", pairs).path, [pair.pair for pair in pairs]
    wrong = {
        "request": lambda: model.verify(tmp_path / "red", "Rde"),
        "by": lambda: model.verify(tmp_path / "red", by="jduge"),
        "draws": lambda: cfgan.write_shards(model, "Red", out=tmp_path / "s", draws=33),
        "kind": lambda: cfgan.write_shards(model, "Red", out=tmp_path / "s", kind="tra"),
        "at": lambda: cfgan.score(testset, dict.fromkeys(names, 0.5), at=[2.0]),
    }
    for field, call in wrong.items():
        with pytest.raises(cfgan.InputError) as raised:
            call()
        assert raised.value.field == field and str(raised.value).startswith(f"{field}: ")


@pytest.mark.slow
def test_a_home_folder_is_meant_wherever_a_path_is_given(
    model: cfgan.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    batch = model.generate("Red", count=2, seed=1, out="~/men")
    assert batch.path == tmp_path / "home" / "men" and len(batch) == 2
    cfgan.report("~/men", model=model).save("~/report")
    assert (tmp_path / "home" / "report" / "report.html").exists() and not Path("~").exists()


def test_a_list_stands_for_a_request_and_a_string_for_one_name(model: cfgan.Model) -> None:
    listed = model.generate("Red", count=2, seed=1, unspecified=["Cat", "-Striped"])
    written = model.generate("Red", count=2, seed=1, unspecified="Cat,-Striped")
    assert [face.png for face in listed] == [face.png for face in written]
    one, several = (model.generate("Red", count=4, seed=1, vary=names) for names in ("Cat", ["Cat"]))
    assert [face.png for face in one] == [face.png for face in several]
