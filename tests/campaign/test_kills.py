"""Killed or stopped at any moment, every long command goes on when given again: nothing lost or repeated."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from campaign_helpers import ASKED, TRIES, Command, Tally, content, differences, kill_and_go_on, run, show

LONG = ["generate", "data pack", "data import", "data align", "balance", "train gan", "train verifier", "train prior"]
LONG += [
    "generate --shards",
    "testset build",
    "bundle build",
    "evaluate",
    "report batch",
    "verify",
    "data draw",
    "train encoder",
]
LONG += ["bundle add-encoder"]


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", [*LONG[:2], *(pytest.param(name, marks=ASKED) for name in LONG[2:])])
def test_the_same_command_goes_on(
    name: str, commands: dict[str, Command], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = commands[name]
    first, second = (run(command, tmp_path / each) for each in ("first", "second"))
    assert first.code in command.codes and second.code == first.code, (first, second)
    whole = content(tmp_path / "first")
    assert not differences(command, whole, content(tmp_path / "second")), "two undisturbed runs differ"
    again = run(command, tmp_path / "second")  # what is finished stays so, and that is no error
    assert again.code == first.code and "Error" not in again.said and "Traceback" not in again.said, again
    assert not differences(command, whole, content(tmp_path / "second")), "a second time is not the same"
    tally, rng = Tally(name), random.Random(name)
    for number in range(TRIES):
        folder = tmp_path / str(number)
        kill_and_go_on(command, folder, whole, second.seconds, rng, tally)
        shutil.rmtree(folder)
    with capsys.disabled():
        show(tally, lambda line: print(f"\n{line}", end=""))
    assert tally.sound() and not tally.remarks, tally
