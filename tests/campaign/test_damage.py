"""One changed or missing byte, at sixteenth steps of every file of what was made: it is noticed, or changes nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_helpers import ASKED, HANGS, TRIES, Command, Tally, conclude, content, differences, judge_end, run, show
from typer.testing import CliRunner

from cfgan.assemble.parts import Parts, assemble
from cfgan.errors import CfganError
from cfgan_cli.app import app

STEPS = 16
CHECKED = {"batch": "batch check", "store": "data check", "tiny": "bundle check", "set": "testset check"}
CHECKED |= {"built": "bundle check"}


def damages(folder: Path, most: int, rng: random.Random) -> Iterator[tuple[Path, bytes, str]]:
    """Files, each with what it is made into and how to say so: a bit changed, or cut off, at steps of its length."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    images = [path for path in files if path.suffix in (".png", ".jpg")]
    few = rng.sample(images, min(len(images), 4))
    for path in files:
        whole = path.read_bytes()
        if not whole or (path in images and path not in few):
            continue
        for step in rng.sample(range(STEPS), min(STEPS, most)):
            place = len(whole) * step // STEPS
            changed = bytearray(whole)
            changed[place] ^= 1 << rng.randrange(8)
            yield path, bytes(changed), f"{path.name} changed at {step}/{STEPS}"
            if step % 4 == 0:
                yield path, whole[:place], f"{path.name} cut off at {step}/{STEPS}"


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", CHECKED)
def test_a_check_notices_every_change(
    name: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / name
    shutil.copytree(made / name, folder)
    command = [*CHECKED[name].split(), str(folder)]
    assert CliRunner().invoke(app, command).exit_code == 0
    tally = Tally(CHECKED[name])
    for path, data, what in damages(folder, TRIES, random.Random(name)):
        whole = path.read_bytes()
        path.write_bytes(data)
        result = CliRunner().invoke(app, command)
        tally.tries += 1
        if not isinstance(result.exception, SystemExit | None):
            tally.tracebacks += 1
            tally.remarks.append(f"{what}: {result.exception!r}")
        elif result.exit_code not in (1, 2):
            tally.lost += 1
            tally.remarks.append(f"{what}: not noticed")
        path.write_bytes(whole)
    conclude(tally, capsys)


@pytest.mark.timeout(0)
def test_a_run_that_was_changed_makes_no_other_bundle(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights, names, readings, settings and log are under the run's sums: a bundle is the same, or refused."""
    shutil.copytree(made / "gan", tmp_path / "gan")
    shutil.copytree(made / "verifier", tmp_path / "verifier")
    runs = (tmp_path / "gan", tmp_path / "verifier")
    parts = Parts(*runs, prior=made / "prior.safetensors", name="n", data="d", licence="l")
    config, whole = assemble(parts)
    tally, rng = Tally("runs"), random.Random("run")
    for run_folder in runs:
        for path, data, what in damages(run_folder, TRIES, rng):
            before = path.read_bytes()
            path.write_bytes(data)
            tally.tries += 1
            try:
                found, weights = assemble(parts)
                told = {key: value for key, value in found.items() if key not in ("training", "verifier")}
                if weights != whole or any(config[key] != value for key, value in told.items()):
                    tally.lost += 1
                    tally.remarks.append(f"{what}: another bundle, unnoticed")
            except CfganError:
                pass
            except Exception as error:
                tally.tracebacks += 1
                tally.remarks.append(f"{what}: {error!r}")
            path.write_bytes(before)
    conclude(tally, capsys)


SPECIAL = ("pipe", "device", "folder", "link to itself")


@pytest.mark.parametrize("name", CHECKED)
def test_nothing_but_a_file_is_read_where_one_is_expected(
    name: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file of a folder in turn is a pipe, a device that never ends, a folder, a link that leads to itself."""
    folder, tally = tmp_path / name, Tally(f"{CHECKED[name]}, no files")
    shutil.copytree(made / name, folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    few = [path for path in files if path.suffix in (".png", ".jpg")][:2]
    for path in files:
        if path.suffix in (".png", ".jpg") and path not in few:
            continue
        for kind in SPECIAL if "CFGAN_CAMPAIGN" in os.environ else SPECIAL[:2]:
            path.rename(tmp_path / "away")
            match kind:
                case "pipe":
                    os.mkfifo(path)
                case "device":
                    path.symlink_to("/dev/zero")
                case "folder":
                    path.mkdir()
                case _:
                    path.symlink_to(path)
            begun = time.monotonic()
            result = CliRunner().invoke(app, [*CHECKED[name].split(), str(folder)])
            tally.tries += 1
            tally.hangs += time.monotonic() - begun > HANGS
            if not isinstance(result.exception, SystemExit | None):
                tally.tracebacks += 1
                tally.remarks.append(f"{path.name} is a {kind}: {result.exception!r}")
            elif result.exit_code not in (1, 2):
                tally.lost += 1
                tally.remarks.append(f"{path.name} is a {kind}: not noticed")
            path.rmdir() if kind == "folder" else path.unlink()
            (tmp_path / "away").rename(path)
    conclude(tally, capsys)


def begun(out: Path) -> bool:
    """Whether something is stored that the next run goes on from."""
    if any(path.read_bytes().count(b"\n") > 1 for path in out.rglob("journal.jsonl")):
        return True
    return (out / "progress.json").exists() or any(out.glob("state-*.json"))


@ASKED
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ["generate", "data pack", "train gan", "train verifier", "testset build", "balance"])
def test_unfinished_work_goes_on_or_says_what_is_damaged(
    name: str, commands: dict[str, Command], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, rng = commands[name], random.Random(name)
    assert run(command, tmp_path / "whole").code in command.codes
    whole, stopped = content(tmp_path / "whole"), tmp_path / "stopped"
    assert run(command, stopped, stop=(signal.SIGKILL, lambda: begun(stopped / "out"))).code == -9
    tally, tried = Tally(f"{name}, unfinished"), tmp_path / "tried"
    possible = list(damages(stopped / "out", 1 if TRIES < 16 else STEPS, rng))
    for path, data, what in rng.sample(possible, min(len(possible), 4 * TRIES)):
        shutil.rmtree(tried, ignore_errors=True)
        shutil.copytree(stopped, tried)
        (tried / path.relative_to(stopped)).write_bytes(data)
        again = run(command, tried)
        tally.tries += 1
        judge_end(again, (*command.codes, 1, 2), tally)
        if again.code in command.codes and (found := differences(command, whole, content(tried))):
            tally.lost += 1
            tally.remarks.append(f"{what}: {found[:3]}")
    with capsys.disabled():
        show(tally, lambda line: print(f"\n{line}", end=""))
    assert tally.tries and tally.sound(), tally
