from __future__ import annotations

import csv
import hashlib
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import draw_celeba, small_store
from PIL import Image

from cfgan.balance.data import BalanceData, open_balance_data
from cfgan.balance.plan import Job, prepare
from cfgan.balance.run import balance, check_balance
from cfgan.balance.spec import make_balance_spec
from cfgan.errors import BundleError, DataError, FolderError, InputError, SpecError, StoppedError, VocabularyError
from cfgan.generate.batch_check import check_batch
from cfgan.model.bundle import Bundle


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """18 training images, 3 of them Red, and 2 for validation; Cat is known of the even ones only."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    lines = ["file,Red,Cat,Taste,split"]
    for k in range(20):
        name = f"deep/{k}.png" if k % 5 == 0 else f"{k}.png"
        Image.new("RGB", (20, 16), (10 * k, 40, 90)).save(folder / name)
        cat = "" if k % 2 else str(k % 4 // 2)
        lines.append(f"{name},{int(k < 3)},{cat},5,{'validation' if k >= 18 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def job_of(bundle: Bundle, folder: Path, **values: Any) -> Job:
    spec = make_balance_spec({"attribute": "red", "ratio": 0.5, "seed": 3, **values})
    return prepare(bundle, open_balance_data(folder, bundle.vocabulary), spec)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "labels.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def state(folder: Path) -> dict[str, Any]:
    """Everything that could be changed about real files."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {p.as_posix(): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def test_the_target_is_reached_and_real_files_stay(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    before, out = state(photos), tmp_path / "out"
    job = job_of(tiny_bundle, photos)
    result = balance(tiny_bundle, job, out)
    assert state(photos) == before and result.complete and not result.repeated
    about = json.loads((out / "balance.json").read_text())
    assert about == result.about and about["achieved"] == {"share": 0.5, "reached": True}
    assert about["before"] == {"Red": 3, "-Red": 15} and about["after"] == {"Red": 15, "-Red": 15}
    assert about["header"]["bundle"]["digest"] == tiny_bundle.digest and about["header"]["spec"]["seed"] == 3
    assert about["rows"] == {"real": {"train": 18, "validation": 2, "test": 0}, "synthetic": {"train": 12}}
    assert check_balance(out) == [] and check_batch(out / "synthetic") == []
    table = rows(out)
    assert list(table[0]) == ["file", "Red", "Cat", "split", "synthetic", "request", "draw"]
    real, made = table[:20], table[20:]
    for k, row in enumerate(real):
        assert (out / row["file"]).resolve() == (photos / (f"deep/{k}.png" if k % 5 == 0 else f"{k}.png")).resolve()
        assert row["Red"] == str(int(k < 3)) and row["Cat"] == ("" if k % 2 else str(k % 4 // 2))
        assert (row["split"], row["synthetic"], row["request"]) == ("train" if k < 18 else "validation", "0", "")
    assert len(made) == 12
    for row in made:
        assert (row["Red"], row["Cat"], row["split"], row["synthetic"], row["request"]) == (
            "1",
            "",
            "train",
            "1",
            "Red",
        )
        assert (out / row["file"]).is_file() and int(row["draw"]) >= 0
    assert str(tmp_path) not in (out / "balance.json").read_text()
    assert any("Taste" in warning for warning in job.warnings)


def test_a_second_run_says_that_it_is_finished(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = balance(tiny_bundle, job_of(tiny_bundle, photos), out)
    before = state(out)
    again = balance(tiny_bundle, job_of(tiny_bundle, photos), out)
    assert again.repeated and again.about == first.about and state(out) == before
    with pytest.raises(FolderError, match="another balance"):
        balance(tiny_bundle, job_of(tiny_bundle, photos, seed=4), out)
    with pytest.raises(FolderError, match="another balance"):
        balance(tiny_bundle, job_of(tiny_bundle, photos), out, link="symlink")
    assert state(out) == before
    (out / "labels.csv").write_text("mine")
    with pytest.raises(FolderError, match=r"damaged \(labels.csv: changed\)"):
        balance(tiny_bundle, job_of(tiny_bundle, photos), out)


@pytest.mark.parametrize("free", ["verifier", "condition"])
def test_guessed_labels_only_where_they_are_asked_for(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, free: str
) -> None:
    out = tmp_path / "out"
    balance(tiny_bundle, job_of(tiny_bundle, photos, free_labels=free), out)
    with (out / "synthetic" / "manifest.csv").open(newline="") as handle:
        manifest = list(csv.DictReader(handle))
    threshold = tiny_bundle.calibration.threshold[tiny_bundle.vocabulary.index("Cat")]
    for row, source in zip(rows(out)[20:], manifest, strict=True):
        cat = float(source["verifier.Cat"]) >= threshold if free == "verifier" else float(source["condition.Cat"]) > 0
        assert row["Cat"] == str(int(cat)) and row["Red"] == "1"


@pytest.mark.parametrize("kind", ["symlink", "hard"])
def test_links(tiny_bundle: Bundle, photos: Path, tmp_path: Path, kind: str) -> None:
    before, out = state(photos), tmp_path / "out"
    balance(tiny_bundle, job_of(tiny_bundle, photos), out, link=kind)
    assert state(photos) == before
    for row in rows(out)[:20]:
        assert row["file"].startswith("real/") and ".." not in row["file"]
        place = out / row["file"]
        assert place.is_symlink() == (kind == "symlink")
        assert place.samefile(photos / row["file"].removeprefix("real/"))


class KilledError(BaseException):
    """Stands in for a process that is killed: nothing but `finally` runs."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["StateFolder.save", "generate", "read_synthetic", "_link", "write_csv", "write_json", "write_text"]
)
def test_a_run_that_was_killed_anywhere_goes_on_to_the_same_bytes(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    job = job_of(tiny_bundle, photos)
    balance(tiny_bundle, job, tmp_path / "whole", link="symlink")

    def killed(*arguments: Any, **named: Any) -> Any:
        raise KilledError

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(f"cfgan.balance.run.{where}", killed)
        with pytest.raises(KilledError):
            balance(tiny_bundle, job, out, link="symlink")
    assert not (out / "checksums.sha256").exists()
    result = balance(tiny_bundle, job, out, link="symlink")
    assert not result.repeated and contents(out) == contents(tmp_path / "whole") and check_balance(out) == []
    assert not (out / "progress.json").exists()


def test_ctrl_c_while_faces_are_made(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfgan.generate.sampling.CHUNK", 8)
    job = job_of(tiny_bundle, photos)
    balance(tiny_bundle, job, tmp_path / "whole")
    out = tmp_path / "out"
    with pytest.raises(StoppedError):
        balance(tiny_bundle, job, out, progress=lambda *call: signal.raise_signal(signal.SIGINT))
    assert not (out / "labels.csv").exists()
    with pytest.raises(FolderError, match="not a finished balance"):
        check_balance(out)
    with pytest.raises(FolderError, match="another balance"):
        balance(tiny_bundle, job_of(tiny_bundle, photos, seed=9), out)
    balance(tiny_bundle, job, out)
    assert contents(out) == contents(tmp_path / "whole")


def test_draws_that_run_out_keep_what_was_found(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    result = balance(tiny_bundle, job_of(tiny_bundle, photos, verify={"max_draws": 9}), tmp_path / "out")
    found = result.about["faces"]["found"]
    assert not result.complete and 0 < found < 12 and len(rows(tmp_path / "out")) == 20 + found
    assert result.about["after"]["Red"] == 3 + found and not result.about["achieved"]["reached"]
    assert f"draws ran out: {found} of 12" in result.about["why_not_exact"][-1]
    again = balance(tiny_bundle, job_of(tiny_bundle, photos, verify={"max_draws": 9}), tmp_path / "out")
    assert again.repeated and not again.complete


def test_nothing_missing_makes_a_table_without_faces(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    job = job_of(tiny_bundle, photos, attribute=None, ratio=None, counts={"Red": 3, "Red,-Cat": 1})
    result = balance(tiny_bundle, job, tmp_path / "out")
    assert result.complete and len(rows(tmp_path / "out")) == 20 and not (tmp_path / "out" / "synthetic").exists()
    assert result.about["achieved"] == {"short": {}, "reached": True}


def test_equal_combinations_but_for_the_impossible_one(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    table = "file,Cat,Dog,Round\n1.png,1,0,1\n2.png,1,0,1\n3.png,1,0,0\n4.png,1,0,1\n6.png,0,1,0\n7.png,0,0,1\n"
    (photos / "labels.csv").write_text(table + "8.png,0,0,0\n9.png,0,0,1\n11.png,1,,1\n")
    job = job_of(tiny_bundle, photos, attribute=None, ratio=None, equalize=["cat", "Dog"], match=["Round"])
    assert [(need.request, need.have) for need in job.plan.needs if need.impossible] == [({"Cat": 1.0, "Dog": 1.0}, 0)]
    result = balance(tiny_bundle, job, tmp_path / "out")
    assert result.about["after"] == {"Cat,Dog": 0, "Cat,-Dog": 4, "-Cat,Dog": 4, "-Cat,-Dog": 4}
    assert result.about["rows_unknown"] == 1 and "Cat,Dog stays at 0" in result.about["why_not_exact"][0]
    made = [row for row in rows(tmp_path / "out") if row["synthetic"] == "1"]
    assert {row["Round"] for row in made} == {""} and {row["request"] for row in made} == {"-Cat,Dog", "-Cat,-Dog"}
    with (tmp_path / "out" / "synthetic" / "manifest.csv").open(newline="") as handle:
        given = [(row["request"], row["condition.Round"]) for row in csv.DictReader(handle)]
    # As the only -Cat,Dog is not Round, nor are the new ones; of three -Cat,-Dog two are, so the new one is.
    assert sorted(given) == [("-Cat,-Dog given Round", "1"), *3 * [("-Cat,Dog given -Round", "-1")]]


def test_a_celeba_folder(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = draw_celeba(tmp_path / "celeba", 10, tiny_bundle.vocabulary.names)
    before = state(folder)
    result = balance(tiny_bundle, job_of(tiny_bundle, folder, ratio=0.75), tmp_path / "out")
    assert state(folder) == before and result.about["achieved"]["share"] == pytest.approx(0.75, abs=0.06)
    real = [row for row in rows(tmp_path / "out") if row["synthetic"] == "0"]
    assert [(tmp_path / "out" / row["file"]).resolve().name for row in real] == [f"{k:06d}.jpg" for k in range(1, 11)]


def test_a_packed_store(tiny_bundle: Bundle, tmp_path: Path) -> None:
    store = small_store(tmp_path / "data")
    before = state(store.path)
    job = job_of(tiny_bundle, store.path, ratio=0.7)
    result = balance(tiny_bundle, job, tmp_path / "out")
    assert state(store.path) == before and result.about["header"]["data"]["kind"] == "store"
    assert [row["file"] for row in rows(tmp_path / "out") if row["synthetic"] == "0"] == list(store.files)
    with pytest.raises(InputError, match="no files to link"):
        balance(tiny_bundle, job, tmp_path / "linked", link="hard")
    assert not (tmp_path / "linked").exists()


def test_parquet_holds_the_same(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    balance(tiny_bundle, job_of(tiny_bundle, photos), tmp_path / "out", parquet=True)
    table = parquet.read_table(tmp_path / "out" / "labels.parquet").to_pylist()
    for row, text in zip(table, rows(tmp_path / "out"), strict=True):
        assert row["file"] == text["file"] and row["split"] == text["split"]
        assert row["synthetic"] == (text["synthetic"] == "1") and row["request"] == (text["request"] or None)
        assert row["Cat"] == (float(text["Cat"]) if text["Cat"] else None)


def test_parquet_without_pyarrow(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"cfgan\[parquet\]"):
        balance(tiny_bundle, job_of(tiny_bundle, photos), tmp_path / "out", parquet=True)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_before_what_is_wrong_is_found(own_bundle: Path, photos: Path, tmp_path: Path) -> None:
    from cfgan.model.bundle import open_bundle

    bundle, out = open_bundle(own_bundle), tmp_path / "out"
    job = job_of(bundle, photos)
    with pytest.raises(InputError, match="device"):
        balance(bundle, job, out, device="toaster")
    with pytest.raises(InputError, match="symlink, hard"):
        balance(bundle, job, out, link="copy")
    weights = own_bundle / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BundleError, match="damaged"):
        balance(bundle, job, out)
    assert not out.exists()
    before = state(photos)
    with pytest.raises(FolderError, match="something else"):
        balance(bundle, job, photos)
    assert state(photos) == before


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"attribute": "Rde"}, VocabularyError, "Did you mean Red"),
        ({"attribute": "Round"}, DataError, "no labels of Round"),
        ({"match": ["Striped"]}, DataError, "no labels of Striped"),
        ({"ratio": None}, SpecError, "ratio: is missing beside attribute"),
        ({"attribute": None}, SpecError, "attribute: is missing beside ratio"),
        ({"equalize": ["Red"]}, SpecError, "given are attribute and equalize"),
        ({"attribute": None, "ratio": None}, SpecError, "one target is expected"),
        ({"ratio": 1.0}, SpecError, "ratio: 1.0"),
        ({"free_labels": "verifer"}, SpecError, "Did you mean verifier"),
        ({"ratoi": 0.5}, SpecError, "Did you mean ratio"),
        ({"verify": {"threshold": 0.5, "precision": 0.5}}, SpecError, "not both"),
    ],
)
def test_specs_that_cannot_be_used(
    tiny_bundle: Bundle, photos: Path, values: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        job_of(tiny_bundle, photos, **values)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("file,Red\n1.png,1\nnone.png,1\n", "1 of 2 images that have labels are not there"),
        ("file,Red\nnone.png,1\n", "names none of the images"),
        ("file,Red\n../x.png,1\n", "not a file inside the folder"),
        ("file,Red\n/etc/passwd,1\n", "not a file inside the folder"),
        ("file,Red,split\n1.png,1,trian\n", "Did you mean train"),
        ("file,Red,split\n1.png,1,test\n", "no training images"),
        ("file,Red\n1.png,\n", "no row has a known label for Red"),
        (None, "not a packed store or a CelebA folder, it has no labels.csv"),
    ],
)
def test_data_that_cannot_be_used(tiny_bundle: Bundle, photos: Path, table: str | None, says: str) -> None:
    (photos / "labels.csv").unlink() if table is None else (photos / "labels.csv").write_text(table)
    with pytest.raises(InputError, match=says):
        job_of(tiny_bundle, photos)


def test_labels_elsewhere_and_folders_that_have_their_own(tiny_bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "other.tsv"
    table.write_text("Split\tfile\tred\nval\t1.png\tyes\n0\t2.png\tno\n\t3.png\t?\n")
    data: BalanceData = open_balance_data(photos, tiny_bundle.vocabulary, table)
    assert data.files == ("1.png", "2.png", "3.png") and data.split.tolist() == [1, 0, 0]
    assert not data.left_out.columns and "4.png" in data.left_out.images
    np.testing.assert_array_equal(data.labels[:, 0], [1, -1, np.nan])
    with pytest.raises(InputError, match="has its own labels"):
        open_balance_data(small_store(tmp_path, ("Red", "Cat")).path, tiny_bundle.vocabulary, table)
    with pytest.raises(DataError, match="names none of the images"):
        open_balance_data(tmp_path / "celeba", tiny_bundle.vocabulary, table)
    with pytest.raises(DataError, match="Did you mean celeba"):
        open_balance_data(tmp_path / "celebaa", tiny_bundle.vocabulary)


def test_a_prior_that_differs_from_the_data_is_named(tiny_bundle: Bundle, photos: Path) -> None:
    lines = ["file,Red,Cat"] + [f"{k}.png,{int(k % 3 == 0)},1" for k in range(120)]
    for k in range(120):
        Image.new("RGB", (8, 8)).save(photos / f"{k}.png")
    (photos / "labels.csv").write_text("\n".join(lines) + "\n")
    unused, warning = job_of(tiny_bundle, photos).warnings
    assert "left out (not in the table): " in unused
    assert "--match Cat follows yours" in warning and "of yours 100 %" in warning
    matched = job_of(tiny_bundle, photos, match=["Cat"])
    (part,) = matched.plan.parts
    assert matched.warnings == (unused,) and (part.request, part.given) == ({"Red": 1.0}, {"Cat": 1.0})


def test_a_bundle_whose_draws_do_not_look_real_is_named_and_refused_when_strict(
    tiny_bundle: Bundle, photos: Path
) -> None:
    row = {"extractor": "mobilenet-v2", "kid": 0.4, "kid_floor": 0.0003, "probe_auc": 1.0, "in_training": False}
    realism = {"networks": {"mobilenet-v2": row}, "faces": None, "crops": {}}
    texture = replace(tiny_bundle, config={**tiny_bundle.config, "evaluation": {"realism": realism}})
    data = open_balance_data(photos, texture.vocabulary)
    spec = make_balance_spec({"attribute": "Red", "ratio": 0.9})
    assert any("do not take them for faces" in warning for warning in prepare(texture, data, spec).warnings)
    with pytest.raises(InputError, match="do not take them for faces"):
        prepare(texture, data, spec, strict=True)
