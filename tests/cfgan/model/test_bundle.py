from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cfgan.errors import BundleError, FolderError, InputError
from cfgan.io.files import sha256_of
from cfgan.model.bundle import Bundle, open_bundle, shipped_bundles, write_bundle

pytestmark = pytest.mark.slow


def test_a_bundle_opens_and_loads_all_its_parts(tiny_bundle: Bundle) -> None:
    tiny_bundle.verify()
    image = tiny_bundle.generator()(torch.zeros(1, 8), torch.zeros(1, 6))
    assert image.shape == (1, 3, 16, 16)
    assert tiny_bundle.verifier()(image).shape == (1, 6)
    assert tiny_bundle.discriminator()(image, torch.zeros(1, 6)).logit.shape == (1,)
    assert tiny_bundle.prior().vocabulary == tiny_bundle.vocabulary
    assert not any(p.requires_grad for p in tiny_bundle.generator().parameters())


@pytest.mark.parametrize("name", ["config.json", "generator.safetensors", "verifier.safetensors", "prior.safetensors"])
def test_a_flipped_byte_is_found(own_bundle: Path, name: str) -> None:
    data = bytearray((own_bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (own_bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} is not as manifest.json says"):
        open_bundle(own_bundle).verify()


def test_damage_is_one_sentence(own_bundle: Path) -> None:
    (own_bundle / "extra.pkl").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.pkl, which manifest\.json does not list"):
        open_bundle(own_bundle).verify()
    (own_bundle / "generator.safetensors").unlink()
    with pytest.raises(BundleError, match=r"generator\.safetensors cannot be read"):
        open_bundle(own_bundle).generator()
    (own_bundle / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        open_bundle(own_bundle)
    (own_bundle / "manifest.json").write_text(json.dumps({"sha256": {"../../etc/passwd": "0"}}))
    with pytest.raises(BundleError, match="unsafe file name"):
        open_bundle(own_bundle)
    (own_bundle / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"manifest\.json is missing"):
        open_bundle(own_bundle)


def test_weights_of_another_shape_are_refused(own_bundle: Path, tiny_bundle: Bundle) -> None:
    config = json.loads((own_bundle / "config.json").read_text())
    config["generator"]["width"] = 16
    weights = {p.name: p.read_bytes() for p in own_bundle.glob("*.safetensors")}
    changed = write_bundle(own_bundle, config, weights, "")
    with pytest.raises(BundleError, match="generator does not load"):
        changed.generator()
    assert changed.digest != tiny_bundle.digest
    config["format"] = "cfgan-bundle/99"
    del config["vocabulary"]
    with pytest.raises(BundleError, match="config.json does not validate"):
        write_bundle(own_bundle, {**config, "format": "cfgan-bundle/1"}, weights, "")


def test_unknown_bundles_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no shipped bundle 'celeba46'"):
        open_bundle("celeba46")
    (tmp_path / "x.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        write_bundle(tmp_path, {}, {}, "")
    assert "celeba64" in shipped_bundles()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("name"),
        lambda c: c["generator"].pop("z_dim"),
        lambda c: c["verifier"].pop("shape"),
        lambda c: c["verifier"]["calibration"]["slope"].pop(),
        lambda c: c["verifier"]["calibration"].update(slope=["nan"] * 6),
        lambda c: c["generator"].update(attributes=7),
        lambda c: c["generator"].update(size=10**9),
        lambda c: c["vocabulary"]["names"].append("../x"),
    ],
)
def test_content_that_does_not_fit_is_a_bundle_error(own_bundle: Path, change: Any) -> None:
    """A bundle from somebody else may carry right checksums of wrong content."""
    config = json.loads((own_bundle / "config.json").read_text())
    change(config)
    weights = {p.name: p.read_bytes() for p in own_bundle.glob("*.safetensors")}
    with pytest.raises(BundleError):
        write_bundle(own_bundle, config, weights, "")


def test_junk_weights_are_a_bundle_error(own_bundle: Path) -> None:
    config = json.loads((own_bundle / "config.json").read_text())
    weights = {p.name: b"\xff" * 64 for p in own_bundle.glob("*.safetensors")}
    bundle = write_bundle(own_bundle, config, weights, "")
    for load in (bundle.generator, bundle.discriminator, bundle.verifier, bundle.prior):
        with pytest.raises(BundleError):
            load()


def test_a_foreign_manifest_does_not_make_a_folder_ours(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        write_bundle(tmp_path, {}, {}, "")
    assert (tmp_path / "README.md").read_text() == "mine"


def edited(bundle: Path, **parts: dict[str, Any]) -> Bundle:
    """The bundle with other settings in parts of its configuration, under sums that fit: a hostile one."""
    config = json.loads((bundle / "config.json").read_text())
    for part, changes in parts.items():
        where = config[part].get("shape", config[part])
        where.update(changes)
    (bundle / "config.json").write_text(json.dumps(config))
    sums = {path.name: sha256_of(path) for path in bundle.iterdir() if path.name != "manifest.json"}
    (bundle / "manifest.json").write_text(json.dumps({"sha256": sums}))
    return open_bundle(bundle)


def test_a_stated_shape_costs_no_memory_before_it_is_compared(own_bundle: Path) -> None:
    changed = edited(own_bundle, generator={"width": 4096}, verifier={"widths": [4096, 4096]})
    code = (
        "import resource, sys\nfrom cfgan.errors import BundleError\nfrom cfgan.model.bundle import open_bundle\n"
        "import cfgan.networks.families, cfgan.networks.loading\nbundle = open_bundle(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for load in (bundle.generator, bundle.discriminator, bundle.verifier):\n"
        "    try:\n        load()\n    except BundleError as error:\n"
        "        assert 'has the shape' in str(error), error\n"
        "    else:\n        raise SystemExit('loaded')\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(changed.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300  # MiB; built before it was compared, it took 9,500


@pytest.mark.parametrize(
    "parts",
    [
        {"generator": {"width": 4097}},
        {"generator": {"embed": 10**9}},
        {"generator": {"size": 2**40}},
        {"generator": {"z_dim": 8.0}},
        {"generator": {"refine": [4] * 1000}},
        {"verifier": {"widths": [8] * 1000}},
        {"verifier": {"widths": [-1]}},
    ],
)
def test_shapes_that_no_network_has_are_refused_unbuilt(own_bundle: Path, parts: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(BundleError, match="config.json does not validate"):
        edited(own_bundle, **parts)


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "generator.safetensors", "prior.safetensors"])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(own_bundle: Path, name: str) -> None:
    (own_bundle / name).unlink()
    os.mkfifo(own_bundle / name)
    with pytest.raises(BundleError, match="pipe"):
        open_bundle(own_bundle).verify()


def test_what_a_person_put_into_a_bundle_is_not_replaced_with_it(own_bundle: Path) -> None:
    config = json.loads((own_bundle / "config.json").read_text())
    weights = {path.name: path.read_bytes() for path in own_bundle.glob("*.safetensors")}
    (own_bundle / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match=r"notes\.txt"):
        write_bundle(own_bundle, config, weights, "")
    assert (own_bundle / "notes.txt").read_text() == "mine"
    (own_bundle / "notes.txt").unlink()
    write_bundle(own_bundle, config, weights, "")
