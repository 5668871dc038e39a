from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import SEEN, SMALL, small_store

from cfgan.assemble.run_files import read_about, read_weights, training_seconds
from cfgan.data.store import PackedDataset
from cfgan.errors import ConfigError, FolderError, InputError, StoppedError
from cfgan.io.files import write_sealed
from cfgan.training.classifier import train_classifier
from cfgan.training.config import ClassifierConfig, GanConfig, load_config, make_config, to_dict
from cfgan.training.gan import train_gan
from cfgan.training.networks import gan_shape, load_classifier
from cfgan.training.state import WeightAverage, load_latest_state, save_state, truncate_stats

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    return small_store(tmp_path_factory.mktemp("training"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("extra", [{}, {"loss": "hinge", "spectral_norm": True, "penalty": "finite"}])
def test_a_resumed_gan_run_has_the_same_weights_as_an_unbroken_one(
    store: PackedDataset, tmp_path: Path, extra: dict[str, object]
) -> None:
    config = make_config(GanConfig, SMALL | extra)
    whole = train_gan(store, tmp_path / "whole", config)

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        if done == 24:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped at 24 images"):
        train_gan(store, tmp_path / "broken", config, stop)
    resumed = train_gan(store, tmp_path / "broken", config)
    assert digest(whole) == digest(resumed)
    assert digest(whole.with_name("discriminator.safetensors")) == digest(
        resumed.with_name("discriminator.safetensors")
    )
    seen = [json.loads(line)["images"] for line in (tmp_path / "broken" / "stats.jsonl").read_text().splitlines()]
    assert seen == sorted(set(seen)) and seen[-1] == 48
    assert {p.name for p in (tmp_path / "whole").glob("samples-*.png")} == {
        "samples-0000000024.png",
        "samples-0000000048.png",
    }


def test_a_resumed_classifier_run_has_the_same_weights(store: PackedDataset, tmp_path: Path) -> None:
    config = make_config(ClassifierConfig, SEEN)
    whole = train_classifier(store, tmp_path / "whole", config)

    def stop(stage: str, done: int, total: int, remark: str = "") -> None:
        if done == 24:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        train_classifier(store, tmp_path / "broken", config, stop)
    assert digest(train_classifier(store, tmp_path / "broken", config)) == digest(whole)


def test_kill_9_loses_at_most_the_time_since_the_last_save(store: PackedDataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [f"{k}={v}" for k, v in (SMALL | {"images": 1_000_000}).items()]
    command = [sys.executable, "-m", "cfgan_cli.main", "train", "gan", "--data", str(store.path), "--out", str(run)]
    process = subprocess.Popen([*command, "-q", *(f"--set={s}" for s in settings)])
    deadline = time.monotonic() + 120
    while len(list(run.glob("state-*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = load_latest_state(run, CPU)
    assert found is not None and found[0] >= 32
    config = make_config(GanConfig, SMALL | {"images": found[0] + 16})
    train_gan(store, run, config)
    assert json.loads((run / "model.json").read_text())["images"] == found[0] + 16


def test_a_damaged_newest_state_is_passed_over(tmp_path: Path) -> None:
    save_state(tmp_path, 10, {"x": torch.ones(3)})
    save_state(tmp_path, 20, {"x": torch.ones(3) * 2})
    newest = tmp_path / "state-0000000020.pt"
    newest.write_bytes(newest.read_bytes()[:-10])
    found = load_latest_state(tmp_path, CPU)
    assert found is not None and found[0] == 10
    save_state(tmp_path, 30, {"x": torch.ones(3)})
    save_state(tmp_path, 40, {"x": torch.ones(3)})
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["state-0000000030.pt", "state-0000000040.pt"]


def test_other_settings_need_a_word(store: PackedDataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_gan(store, run, make_config(GanConfig, SMALL | {"images": 16}))
    changed = make_config(GanConfig, SMALL | {"images": 32, "learning_rate_generator": 1e-3})
    with pytest.raises(FolderError, match=r"learning_rate_generator = 0\.0002, not 0\.001"):
        train_gan(store, run, changed)
    train_gan(store, run, changed, change=True)
    noted = json.loads((run / "changes.jsonl").read_text())
    assert noted == {"images": 16, "changes": {"learning_rate_generator": [0.0002, 0.001]}}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("mine")
    with pytest.raises(FolderError, match="something else"):
        train_gan(store, tmp_path / "other", changed)


def test_the_average_follows_with_its_half_life() -> None:
    module = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(module.weight)
    average = WeightAverage(module, 100)
    torch.nn.init.ones_(module.weight)
    average.update(module, 100, 1_000_000)
    assert average.module.weight.item() == pytest.approx(0.5)
    average.update(module, 10, 10)  # early on the half-life is a tenth of what was seen
    assert average.module.weight.item() > 0.99


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["widht=3"], "Did you mean width"),
        (["width=x"], "width"),
        (["width"], "key=value"),
        (["loss=wasserstein"], "loss"),
        (["beta1=2"], "beta1"),
        (["batch=0"], "batch"),
        (["beta2=1"], "beta2"),
        (["learning_rate_generator=.inf"], "learning_rate_generator"),
    ],
)
def test_bad_settings_are_named(settings: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(GanConfig, settings=settings)


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("width: 12\nbatch: 5\naugment: [flip]")
    config = load_config(GanConfig, file=tmp_path / "c.yaml", settings=["batch=7"])
    assert (config.width, config.batch, config.augment) == (12, 7, ("flip",))
    assert make_config(GanConfig, to_dict(config)) == config


def test_tensorboard_gets_every_figure(store: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "run" / "tensorboard")

        def add_scalar(self, name: str, value: float, images: int) -> None:
            written.append((name, images))

        def flush(self) -> None:
            pass

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    train_gan(store, tmp_path / "run", make_config(GanConfig, SMALL | {"tensorboard": True, "images": 16}))
    assert {("d_loss", 8), ("g_loss", 16), ("images_per_second", 16)} <= set(written)


def test_tensorboard_without_the_extra_says_what_to_install(
    store: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"cfgan\[tensorboard\]"):
        train_gan(store, tmp_path / "run", make_config(GanConfig, SMALL | {"tensorboard": True}))


def test_settings_that_do_not_fit_the_images_are_refused_before_anything_is_written(
    store: PackedDataset, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="stages do not divide"):
        train_classifier(store, tmp_path / "a", make_config(ClassifierConfig, SEEN | {"widths": [4] * 6}))
    with pytest.raises(ConfigError, match="half an image"):
        train_classifier(store, tmp_path / "b", make_config(ClassifierConfig, SEEN | {"shift_pixels": 9}))
    with pytest.raises(ConfigError, match="power of two"):
        gan_shape(make_config(GanConfig, SMALL), 3, 48)
    train_gan(store, tmp_path / "c", make_config(GanConfig, SMALL | {"images": 8}))
    wider = make_config(GanConfig, SMALL | {"images": 16, "width": 16})
    before = (tmp_path / "c" / "config.yaml").read_text()
    with pytest.raises(FolderError, match="networks do not fit"):
        train_gan(store, tmp_path / "c", wider, change=True)
    assert (tmp_path / "c" / "config.yaml").read_text() == before
    assert not any((tmp_path / name).exists() for name in "ab")


def test_a_run_begun_before_a_setting_existed_goes_on_with_its_default(store: PackedDataset, tmp_path: Path) -> None:
    train_classifier(store, tmp_path / "run", make_config(ClassifierConfig, SEEN))
    path = tmp_path / "run" / "config.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("mirror")))
    older = path.read_text()
    with pytest.raises(FolderError, match="mirror = True, not False"):
        train_classifier(store, tmp_path / "run", make_config(ClassifierConfig, SEEN | {"mirror": False}))
    assert path.read_text() == older
    train_classifier(store, tmp_path / "run", make_config(ClassifierConfig, SEEN))


def test_older_names_of_learning_rates_are_read(store: PackedDataset, tmp_path: Path) -> None:
    old = {"rate_generator": 1e-3, "rate_discriminator": 2e-3, "rate_hold": 0.5, "rate_end": 0.2}
    config = make_config(GanConfig, SMALL | {"images": 16} | old)
    assert config == make_config(GanConfig, SMALL | {"images": 16} | {f"learning_{key}": old[key] for key in old})
    assert (config.learning_rate_generator, config.learning_rate_end) == (1e-3, 0.2)
    assert load_config(ClassifierConfig, settings=["rate=0.5"]).learning_rate == 0.5
    run = tmp_path / "run"
    train_gan(store, run, config)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("learning_rate_", "rate_"))  # as a run of an older version left it
    train_gan(store, run, dataclasses.replace(config, images=32))
    assert "rate_generator: 0.001" in text and not (run / "changes.jsonl").exists()


def test_a_state_that_was_edited_is_passed_over(tmp_path: Path) -> None:
    save_state(tmp_path, 10, {"x": torch.ones(3)})
    save_state(tmp_path, 20, {"x": torch.ones(3)})
    about = tmp_path / "state-0000000020.json"
    about.write_text(about.read_text().replace('"images": 20', '"images": 21'))
    found = load_latest_state(tmp_path, CPU)
    assert found is not None and found[0] == 10
    about.write_text(json.dumps({"images": 21, "sha256": json.loads(about.read_text())["sha256"]}))  # as once, unsealed
    found = load_latest_state(tmp_path, CPU)
    assert found is not None and found[0] == 10


def test_a_run_whose_states_are_all_damaged_is_not_begun_anew(tmp_path: Path) -> None:
    assert load_latest_state(tmp_path, CPU) is None
    (tmp_path / "state-0000000010.pt").write_bytes(b"killed before its sum was written")
    assert load_latest_state(tmp_path, CPU) is None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    save_state(tmp_path, 20, {"x": torch.ones(3)})
    for data in (b"", buffer.getvalue(), pickle.dumps([Path.home]), pickle.dumps({}), b"\xff" * 99):
        (tmp_path / "state-0000000020.pt").write_bytes(data)
        write_sealed(tmp_path / "state-0000000020.json", {"images": 20, "sha256": hashlib.sha256(data).hexdigest()})
        with pytest.raises(FolderError, match="no saved state"):
            load_latest_state(tmp_path, CPU)


def test_lines_of_figures_that_cannot_be_read_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_bytes(b'{"images": 8}\n\xff\n[1]\n{"loss": 1}\n{"images": "x"}\n{"images": 16}\n{"images": 24}\n{"im')
    truncate_stats(path, 16)
    assert path.read_text() == '{"images": 8}\n{"images": 16}\n'


def test_a_run_s_weights_and_names_are_under_its_sums(store: PackedDataset, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_classifier(store, run, make_config(ClassifierConfig, SEEN | {"images": 8}))
    about = read_about(run, "verifier", "classifier")
    assert set(about["sha256"]) == {"config.yaml", "model.safetensors", "validation.npz"}
    weights = run / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match=r"model\.safetensors is not as model\.json says"):
        read_weights(run, about, "model.safetensors")
    with pytest.raises(ConfigError, match="is not as model.json says"):
        load_classifier(str(run), "guide", CPU)
    text = (run / "model.json").read_text()
    (run / "model.json").write_text(text.replace('"Red"', '"Blue"'))
    with pytest.raises(InputError, match="changed"):
        read_about(run, "verifier", "classifier")
    (run / "stats.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(InputError, match=r"stats\.jsonl"):
        training_seconds(run)
