"""Signed batches: what a signature says, whom it names, and that nobody changes an image under it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cfgan.attributes.spec import make_plan
from cfgan.errors import ConfigError, FolderError
from cfgan.generate.batch_check import check_batch
from cfgan.generate.job import generate
from cfgan.generate.signatures import check_signatures
from cfgan.generate.signing import sign_batch
from cfgan.io.c2pa import Signer, without_manifest
from cfgan.model.bundle import Bundle
from cfgan_cli.app import app

c2pa = pytest.importorskip("c2pa")
pytest.importorskip("cryptography")

import certificate_helpers as bad  # noqa: E402
from certificate_helpers import Identity, make_identity  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

pytestmark = pytest.mark.slow

FIRST, SECOND = "images/000000.png", "images/000001.png"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["batch", *(str(a) for a in arguments)])


@pytest.fixture(scope="module")
def batch(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six faces of two requests."""
    out = tmp_path_factory.mktemp("batch") / "b"
    cells = [{"name": "red", "attributes": "Red"}, {"name": "-round", "attributes": "-Round,Red"}]
    generate(tiny_bundle, make_plan({"requests": cells, "count": 3, "seed": 1}, tiny_bundle.vocabulary), out)
    return out


@pytest.fixture(scope="module")
def somebody(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def _signed(batch: Path, somebody: Identity, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    signer, folder = Signer(somebody.chain, somebody.key), tmp_path_factory.mktemp("signed")
    sign_batch(batch, folder / "images", signer)
    sign_batch(batch, folder / "folder", signer, detached=True)
    return {name: folder / name for name in ("images", "folder")}


@pytest.fixture
def signed(_signed: dict[str, Path], tmp_path: Path) -> Path:
    """A copy with signed images, to do with what one likes."""
    return Path(shutil.copytree(_signed["images"], tmp_path / "signed"))


@pytest.fixture
def detached(_signed: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that is signed as a whole."""
    return Path(shutil.copytree(_signed["folder"], tmp_path / "detached"))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def seal(folder: Path) -> None:
    """Make manifest and checksums fit the files again, as somebody would who changed them on purpose."""
    table = rows(folder)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(table[0]), lineterminator="\n")
        writer.writeheader()
        for row in table:
            digest = hashlib.sha256((folder / row["file"]).read_bytes()).hexdigest()
            writer.writerow({**row, "sha256": digest})
    names = [line.split("  ")[1] for line in (folder / "checksums.sha256").read_text().splitlines()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "checksums.sha256").write_text("".join(lines))
    assert check_batch(folder) == []  # nothing but a signature can tell


def other_pixels(path: Path, *, manifest: bool) -> None:
    """Change the pixels of a signed image, and keep its manifest or drop it."""
    signed = path.read_bytes()
    with Image.open(io.BytesIO(signed)) as image:
        changed = image.convert("RGB").point(lambda value: 255 - value)
    buffer = io.BytesIO()
    changed.save(buffer, "PNG")
    png = buffer.getvalue()
    if manifest:  # it stands after the first 33 bytes, signature and IHDR
        chunk = signed[33 : len(signed) - len(without_manifest(signed)) + 33]
        assert chunk[4:8] == b"caBX"
        png = png[:33] + chunk + png[33:]
    path.write_bytes(png)


def test_each_image_says_who_signed_it_what_it_is_and_which_draw(batch: Path, signed: Path, tmp_path: Path) -> None:
    about = json.loads((batch / "batch.json").read_text())
    assert check_batch(signed) == []
    for before, after in zip(rows(batch), rows(signed), strict=True):
        png = (signed / after["file"]).read_bytes()
        report = json.loads(c2pa.Reader("image/png", io.BytesIO(png)).json())
        manifest = report["manifests"][report["active_manifest"]]
        said = {one["label"]: one["data"] for one in manifest["assertions"]}
        assert report["validation_state"] == "Valid"
        assert manifest["claim_generator_info"][0]["name"] == "cfgan"
        assert manifest["signature_info"]["common_name"] == "Signer"
        action = said["c2pa.actions.v2"]["actions"][0]
        assert action["action"] == "c2pa.created"
        assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
        draw = said["org.cfgan.draw"]
        assert draw["bundle"] == about["header"]["bundle"]
        assert (draw["seed"], draw["draw"]) == (int(before["seed"]), int(before["draw"]))
        assert draw["request"]["name"] == before["request"] and draw["request"]["attributes"]["Red"] == 1
        assert draw["sha256"] == before["sha256"]
        # No thumbnail, which would be as large as the image, and nothing of this machine.
        assert "thumbnail" not in manifest and len(png) < len(without_manifest(png)) + 6000
        assert str(tmp_path).encode() not in png and str(batch).encode() not in png


def test_the_batch_itself_stays_and_comes_back_from_its_signed_copy(
    batch: Path, somebody: Identity, tmp_path: Path
) -> None:
    before = contents(batch)
    sign_batch(batch, tmp_path / "a", Signer(somebody.chain, somebody.key))
    assert contents(batch) == before
    for row, old in zip(rows(tmp_path / "a"), rows(batch), strict=True):
        assert without_manifest((tmp_path / "a" / row["file"]).read_bytes()) == before[row["file"]]
        assert {**row, "sha256": ""} == {**old, "sha256": ""}


@pytest.mark.parametrize("kind", ["signed", "detached"])
def test_check_says_who_signed_and_whether_that_is_to_be_trusted(
    kind: str, somebody: Identity, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    result = run("check", folder)
    assert result.exit_code == 0 and "Signer, Example, certificate not known to be trusted" in result.output
    assert ("6 of 6 images signed" if kind == "signed" else "signed as a whole") in result.output
    result = run("check", folder, "--trust", somebody.anchor)
    assert result.exit_code == 0 and "certificate trusted" in result.output
    figures = json.loads(run("check", folder, "--trust", somebody.anchor, "--json").output)["signatures"]
    assert figures == {"signed": 6, "trusted": 6, "detached": kind == "detached", "by": {"Signer, Example": 6}}
    stranger = make_identity(tmp_path, "Stranger")
    result = run("check", folder, "--trust", stranger.anchor)
    assert result.exit_code == 1 and "6 of 6 images are not signed by whom" in result.output


def test_trust_is_refused_where_nothing_is_signed(batch: Path, somebody: Identity) -> None:
    assert run("check", batch).exit_code == 0
    result = run("check", batch, "--trust", somebody.anchor)
    assert result.exit_code == 1 and "6 of 6 images are not signed" in result.output


@pytest.mark.parametrize("manifest", [True, False])
def test_changed_pixels_are_found_though_checksums_fit(signed: Path, manifest: bool) -> None:
    other_pixels(signed / SECOND, manifest=manifest)
    seal(signed)
    problems = check_signatures(signed).problems
    assert len(problems) == 1 and problems[0].startswith(SECOND)
    assert ("changed after it was signed" if manifest else "not signed") in problems[0]
    assert run("check", signed).exit_code == 1


def test_a_signed_image_in_the_place_of_another_is_found(signed: Path) -> None:
    (signed / FIRST).write_bytes((signed / SECOND).read_bytes())
    seal(signed)
    assert any(problem.startswith(FIRST) and "another file" in problem for problem in check_signatures(signed).problems)


def test_a_manifest_that_claims_another_request_is_found(signed: Path) -> None:
    path = signed / "manifest.csv"
    text = path.read_text()
    head, first, rest = text.split("\n", 2)
    column = head.split(",").index("requested.Red")
    cells = first.split(",")
    cells[column] = "-1"
    path.write_text("\n".join([head, ",".join(cells), rest]))
    seal(signed)
    assert "another request" in check_signatures(signed).problems[0]


def test_an_image_that_somebody_else_signed_is_found(
    signed: Path, batch: Path, somebody: Identity, tmp_path: Path
) -> None:
    forger = make_identity(tmp_path, "Signer2")
    sign_batch(batch, tmp_path / "forged", Signer(forger.chain, forger.key))
    shutil.copy(tmp_path / "forged" / FIRST, signed / FIRST)
    seal(signed)
    assert "2 different certificates" in check_signatures(signed).problems[0]
    both = check_signatures(signed, somebody.anchor)
    assert both.signed == 6 and both.trusted == 5


def test_the_signature_over_a_folder_covers_every_file(
    detached: Path, batch: Path, somebody: Identity, tmp_path: Path
) -> None:
    sidecar = "contact_sheet.c2pa"
    found = contents(detached)
    manifest = found.pop(sidecar)
    assert found == contents(batch)
    reader = c2pa.Reader("image/png", io.BytesIO(found["contact_sheet.png"]), manifest)  # as any C2PA tool reads it
    assert reader.get_validation_state() == "Valid"
    other_pixels(detached / FIRST, manifest=False)
    seal(detached)
    assert check_signatures(detached).problems == [f"{sidecar}: it signs other checksums than those of this folder"]
    (detached / sidecar).write_bytes(manifest[:-200] + bytes(200))
    assert check_signatures(detached).problems
    (detached / sidecar).write_bytes(b"nothing")
    assert sidecar in check_signatures(detached).problems[0]


@pytest.mark.parametrize("make", [ed25519.Ed25519PrivateKey.generate, lambda: ec.generate_private_key(ec.SECP384R1())])
def test_keys_of_other_kinds_sign(make: Callable[[], Any], batch: Path, tmp_path: Path) -> None:
    identity = make_identity(tmp_path, private=make())
    sign_batch(batch, tmp_path / "out", Signer(identity.chain, identity.key), detached=True)
    assert check_signatures(tmp_path / "out", identity.anchor).problems == []


def test_rsa_keys_sign(batch: Path, tmp_path: Path) -> None:
    identity = make_identity(tmp_path, private=rsa.generate_private_key(65537, 2048))
    assert Signer(identity.chain, identity.key).name == "Signer, Example"


@pytest.mark.parametrize(
    ("make", "file", "what"),
    [
        (bad.expired, "Signer.pem", "expired on 20"),
        (bad.to_come, "Signer.pem", "is not valid before 20"),
        (bad.unusable, "Signer.pem", "cannot sign for C2PA (the certificate is invalid)"),
        (bad.self_signed, "Signer.pem", "it wants one that another issued"),
        (bad.other_key, "Signer.key", "does not fit the first certificate"),
        (bad.locked_key, "Signer.key", "protected by a passphrase"),
        (bad.strange_key, "Signer.key", "a kind that C2PA does not take"),
        (bad.unreadable_key, "Signer.key", "holds no private key in PEM"),
        (bad.unreadable_certificate, "Signer.pem", "holds no certificate in PEM"),
        (bad.no_certificate, "Signer.pem", "cannot be read: No such file"),
        (bad.issuer_first, "Signer.pem", "must come first"),
    ],
)
def test_a_certificate_that_cannot_sign_is_refused_in_one_sentence(
    make: Callable[[Path], Identity], file: str, what: str, batch: Path, tmp_path: Path
) -> None:
    identity = make(tmp_path / "pem")
    result = run("sign", batch, *identity.options, "--out", tmp_path / "out")
    assert result.exit_code == 2 and what in result.output and file in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pem"]


def test_an_authority_that_gives_no_time_is_named(batch: Path, somebody: Identity, tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/"
    result = run("sign", batch, *somebody.options, "--out", tmp_path / "out", "--timestamp", address)
    assert result.exit_code == 2 and f"{address} gave no time stamp" in result.output
    assert not any(tmp_path.iterdir())


def test_trust_in_a_file_without_certificates_is_refused(signed: Path, somebody: Identity) -> None:
    result = run("check", signed, "--trust", somebody.key)
    assert result.exit_code == 2 and "holds no certificate" in result.output


def test_without_the_package_signing_says_what_to_install_and_check_that_it_did_not_look(
    batch: Path, signed: Path, somebody: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(ConfigError, match=r'pip install "cfgan\[c2pa\]"'):
        Signer(somebody.chain, somebody.key)
    assert run("check", batch).output.strip().endswith("complete and unchanged, 6 faces")
    result = run("check", signed)
    assert result.exit_code == 0 and "its signatures were not looked at" in result.output
    assert run("check", signed, "--trust", somebody.anchor).exit_code == 2


def test_only_an_older_copy_of_the_same_batch_is_replaced(
    batch: Path, signed: Path, somebody: Identity, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    signer, out = Signer(somebody.chain, somebody.key), tmp_path / "out"
    sign_batch(batch, out, signer, detached=True)
    sign_batch(batch, out, signer)
    assert check_batch(out) == [] and not (out / "contact_sheet.c2pa").exists()
    other = tmp_path / "other"
    generate(tiny_bundle, make_plan({"attributes": "Red", "count": 2, "seed": 9}, tiny_bundle.vocabulary), other)
    before = contents(tmp_path)
    for source, target, what in (
        (other, out, "a signed copy of another batch"),
        (batch, other, "a batch that is not signed"),
        (signed, tmp_path / "again", "signed already"),
    ):
        with pytest.raises(FolderError, match=what):
            sign_batch(source, target, signer)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match=r"notes\.txt"):
        sign_batch(batch, out, signer)
    assert contents(tmp_path) == {**before, "out/notes.txt": b"mine"}


def test_a_changed_batch_is_not_signed(batch: Path, somebody: Identity, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(batch, tmp_path / "b"))
    (changed / "spec.yaml").write_text("other")
    result = run("sign", changed, *somebody.options, "--out", tmp_path / "out")
    assert result.exit_code == 2 and "spec.yaml: changed" in result.output and not (tmp_path / "out").exists()


def test_what_stops_halfway_leaves_the_older_copy(batch: Path, signed: Path, somebody: Identity) -> None:
    before = contents(signed.parent)

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sign_batch(batch, signed, Signer(somebody.chain, somebody.key), progress=stop)
    assert contents(signed.parent) == before
