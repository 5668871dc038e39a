from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from report_helpers import judged_bundle
from typer.testing import CliRunner, Result

from cfgan.attributes.prior import Prior
from cfgan.attributes.spec import make_plan
from cfgan.attributes.vocabulary import Vocabulary
from cfgan.generate.job import generate
from cfgan.model.bundle import Bundle, open_bundle
from cfgan.reports.batch.output import report_schema
from cfgan_cli.app import app

pytestmark = pytest.mark.slow

runner = CliRunner()


def run(*arguments: object) -> Result:
    return runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, prior: Prior) -> Bundle:
    """A bundle on disk whose networks, never trained, neither draw nor read anything, and which claims good readers."""
    return judged_bundle(tmp_path_factory.mktemp("bad"), vocabulary, prior)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory, bad: Bundle) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "reds"
    plan = make_plan({"vary": ["Red"], "count": 60, "verify": {"enabled": False}}, bad.vocabulary)
    generate(bad, plan, folder, device="cpu")
    return folder


def test_a_bad_batch_fails_in_words_in_json_and_by_exit_code(bad: Bundle, batch: Path, tmp_path: Path) -> None:
    out = tmp_path / "r"
    result = run("report", batch, "--bundle", bad.path, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["verdict"] == "fails" and said["out"] == str(out) and "report.html" in said["files"]
    data = json.loads((out / "report.json").read_text())
    jsonschema.Draft202012Validator(report_schema()).validate(data)
    assert data["verdict"] == "fails" and data["reasons"] == said["reasons"]
    page = (out / "report.html").read_text()
    assert re.search(r'class="word">Fails\.</span> This batch does not show what was asked for\. Do not use it\.', page)
    strict = run(
        "report", "--strict", "--bundle", bad.path, "-o", out, batch
    )  # options first, an older report replaced
    assert strict.exit_code == 1 and "does not show what was asked for" in strict.stdout
    assert "report.html" in strict.stdout and "Traceback" not in strict.output
    assert run("report", "batch", batch, "--bundle", bad.path, "-o", out, "-q").stdout == ""


def test_without_a_bundle_the_shipped_one_says_what_it_can(batch: Path, tmp_path: Path) -> None:
    """The batch's model is none of the shipped ones: the report says what that leaves out, and proves nothing."""
    result = run("report", batch, "-o", tmp_path / "r", "--strict")
    assert result.exit_code == 1 and "cannot be proved" in result.stdout
    data = json.loads((tmp_path / "r" / "report.json").read_text())
    assert data["bundle"]["digest"] == open_bundle().digest and data["batches"][0]["left_out"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere"], 2, "there is no folder nowhere"),
        ([], 2, "Usage"),
        (["{batch}", "{batch}"], 2, "given twice"),
        (["{batch}", "--bundle", "celeba46"], 2, "Did you mean celeba64"),
        (["{batch}", "--redraw", "-1"], 2, "redraw"),
        (["{batch}", "--device", "toaster", "--bundle", "{bad}"], 2, "device"),
        (["{batch}", "--out", "{batch}/report"], 2, "a batch: nothing else is written there"),
    ],
)
def test_wrong_input_is_one_message(
    bad: Bundle, batch: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    filled = [text.format(batch=batch, bad=bad.path) for text in arguments]
    out = [] if "--out" in filled or not filled else ["--out", tmp_path / "r"]
    result = run("report", *filled, *out)
    assert result.exit_code == code and says in (result.stderr + result.stdout).replace("\n", " "), result.output
    assert "Traceback" not in result.output and not (tmp_path / "r").exists() and not (batch / "report").exists()


def test_help_names_the_command_and_loads_no_torch() -> None:
    assert "batch" in run("report", "--help").stdout and "--strict" in run("report", "batch", "--help").stdout
    code = (
        "import sys\nfrom cfgan_cli.app import app\nsys.argv = ['cfgan', 'report', 'batch', '--help']\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'matplotlib', 'jinja2', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
