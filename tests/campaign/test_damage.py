"""One changed or missing byte, at sixteenth steps of every file of what was made: it is noticed, or changes nothing."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign_helpers import ASKED, TRIES, Command, Tally, content, differences, judge_end, run, show
from typer.testing import CliRunner

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
    with capsys.disabled():
        show(tally, lambda line: print(f"\n{line}", end=""))
    assert tally.sound(), tally


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
    for path, data, what in list(damages(stopped / "out", 1 if TRIES < 16 else STEPS, rng))[: 4 * TRIES]:
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
