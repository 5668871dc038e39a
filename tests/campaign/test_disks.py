"""A disk that takes no more, two writers at once, paths that lead nowhere: one sentence, and nothing is lost."""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from campaign_helpers import ASKED, TRIES, Command, Tally, conclude, content, differences, judge_end, run

pytestmark = ASKED
WRITERS = ["generate", "data pack", "data import", "balance", "train gan", "train verifier", "train prior"]
WRITERS += ["testset build", "bundle build", "evaluate", "report batch", "verify", "data draw", "train encoder"]
WRITERS += ["bundle add-encoder"]


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_takes_no_more(
    name: str, commands: dict[str, Command], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file may grow beyond some bytes, as under a quota; with room again the same command comes to the same end."""
    command, rng, tally = commands[name], random.Random(name), Tally(f"{name}, full disk")
    assert run(command, tmp_path / "whole").code in command.codes
    whole = content(tmp_path / "whole")
    largest = max(path.stat().st_size for path in (tmp_path / "whole").rglob("*") if path.is_file())
    for _ in range(TRIES):
        folder = tmp_path / "full"
        ended = run(command, folder, most_bytes=rng.randint(min(2000, largest // 2), largest))
        tally.tries += 1
        judge_end(ended, (*command.codes, 1), tally)
        judge_end(run(command, folder), command.codes, tally)
        if found := differences(command, whole, content(folder)):
            tally.lost += 1
            tally.remarks.append(f"not as undisturbed: {found[:4]}")
        shutil.rmtree(folder)
    conclude(tally, capsys)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ["generate", "data pack", "train gan", "testset build", "data draw"])
def test_two_writers_at_once(name: str, commands: dict[str, Command], tmp_path: Path) -> None:
    command, tally = commands[name], Tally(name)
    assert run(command, tmp_path / "whole").code in command.codes
    whole = content(tmp_path / "whole")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(run, command, tmp_path / "both", said=f"stderr{k}.txt") for k in range(2)]
        ended = [each.result() for each in both]
    for each in ended:
        judge_end(each, (*command.codes, 2), tally)
    assert any(each.code in command.codes for each in ended), ended
    assert tally.sound() and not differences(command, whole, content(tmp_path / "both")), tally


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", ["/proc/here", "/dev/null/here"])
def test_places_where_nothing_can_be_written(
    name: str, place: str, commands: dict[str, Command], tmp_path: Path
) -> None:
    command = commands[name]
    arguments = tuple(
        place + each.removeprefix("out") if isinstance(each, str) and each.startswith("out") else each
        for each in command.arguments
    )
    ended = run(replace(command, arguments=arguments), tmp_path)
    errors = [line for line in ended.said.splitlines() if not line.startswith(("Warning", "under 20"))]
    assert ended.code in (1, 2) and len(errors) == 1 and errors[0].startswith("Error"), ended


@pytest.mark.parametrize("name", ["generate", "data pack", "train gan", "testset build", "report batch", "verify"])
@pytest.mark.parametrize("out", ["n" * 300, "/".join(["n" * 200] * 25)])
def test_paths_that_are_too_long(name: str, out: str, commands: dict[str, Command], tmp_path: Path) -> None:
    command = commands[name]
    suffix = ".csv" if name == "verify" else ""
    arguments = tuple(f"{out}{suffix}" if each in ("out", "out.csv") else each for each in command.arguments)
    ended = run(replace(command, arguments=arguments), tmp_path)
    assert ended.code in (1, 2) and "Traceback" not in ended.said and len(ended.said.splitlines()) == 1, ended
