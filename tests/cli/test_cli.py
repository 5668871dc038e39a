from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import draw_celeba
from typer.testing import CliRunner, Result

from cfgan.data.source import LAYOUTS
from cfgan.evaluation.extractor_names import EXTRACTORS
from cfgan.model.bundle import Bundle
from cfgan.testsets.export.formats import FORMATS
from cfgan_cli.app import app, app_for

pytestmark = pytest.mark.slow

runner = CliRunner()


def run(*arguments: object) -> Result:
    return runner.invoke(app, [str(a) for a in arguments])


def test_generate_end_to_end_in_json(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "b"
    result = run("generate", "--bundle", tiny_bundle.path, "-a", "red,-striped", "-n", 5, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout)
    assert (value["out"], value["accepted"], value["complete"]) == (str(out), 5, True)
    assert value["draws"] >= 5 and value["seconds"] > 0
    assert set(value["attributes"]) == {"Red", "Striped"}
    assert {"unfiltered", "verified"} <= set(value["attributes"]["Red"])
    checked = run("batch", "check", out)
    assert checked.exit_code == 0 and "complete and unchanged, 5 faces" in checked.stdout
    (out / "images" / "000000.png").unlink()
    broken = run("batch", "check", out, "--json")
    assert broken.exit_code == 1 and json.loads(broken.stdout)["problems"] == ["images/000000.png: missing"]


def test_generate_for_people(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("generate", "--bundle", tiny_bundle.path, "-a", "Red", "-n", 3)
    assert result.exit_code == 0 and "3 faces from" in result.stdout and "Red" in result.stdout
    (folder,) = (tmp_path / "faces").iterdir()
    assert folder.name.startswith("Red-") and (folder / "contact_sheet.png").exists()
    assert run("generate", "--bundle", tiny_bundle.path, "-a", "Red", "-n", 3, "-q").stdout == ""
    assert len(list((tmp_path / "faces").iterdir())) == 1  # the same request is the same batch
    assert run("generate", "--bundle", tiny_bundle.path, "-a", "Red", "-a", "-Cat", "-n", 4, "-q").exit_code == 0
    assert run("generate", "--bundle", tiny_bundle.path, "-a", "any", "-n", 4, "-q").exit_code == 0
    names = sorted(folder.name.rsplit("-", 1)[0] for folder in (tmp_path / "faces").iterdir())
    assert names == ["Red", "Red+noCat", "any"]
    graded = run("generate", "--bundle", tiny_bundle.path, "-a", "Red=0.5", "-n", 2)
    assert "not verified" in graded.stdout


def test_a_spec_file_with_overrides(tiny_bundle: Bundle, tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text("count: 8\nvary: [Red]\nverify: {max_draws: 500}")
    arguments = ["generate", "--bundle", tiny_bundle.path, "--spec", spec, "--out", tmp_path / "b", "--json"]
    value = json.loads(run(*arguments, "-n", 4, "--no-verify").stdout)
    assert value["draws"] == value["accepted"] == 4 and len(value["cells"]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-a", "Rde"], "Did you mean Red"),
        (["-a", "Cat,Dog"], "exclude each other"),
        (["-a", "Red=7"], "between -1 and 1"),
        (["-a", "Red", "--spec", "x"], "not both"),
        (["--spec", "no-such"], "no shipped spec"),
        (["-a", ""], "--attrs any"),
        (["-a", "Red", "-a", "-Red"], "asked for twice"),
        (["-a", "Red", "--no-verify", "--threshold", "0.9"], "--no-verify"),
        (["-a", "Red", "-n", "0"], "count"),
        (["-a", "Red", "--seed", "-1"], "seed"),
        (["-a", "Red", "--threshold", "2"], "threshold"),
        (["-a", "Red", "--truncation", "0"], "truncation"),
        (["-a", "Red", "--unspecified", "wild"], "sample"),
        (["-a", "Red", "--device", "toaster"], "device"),
        (["-a", "Red", "--device", "meta"], "no engine or device"),
        (["-a", "Red", "--engine", "tortch"], "Did you mean torch"),
        (["--spec", "~no-such-user/x"], "no such user"),
        (["-a", "Red", "-n", "lots"], "--count"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    tiny_bundle: Bundle, tmp_path: Path, arguments: list[str], says: str
) -> None:
    result = run("generate", "--bundle", tiny_bundle.path, "--out", tmp_path / "b", *arguments)
    assert result.exit_code == 2 and says in result.stderr.replace("\n", " "), result.output
    assert "Traceback" not in result.output and not (tmp_path / "b").exists()


def test_running_out_exits_3(tiny_bundle: Bundle, tmp_path: Path) -> None:
    arguments = ["-a", "Red", "--threshold", 0.999999, "--max-draws", 20, "--out", tmp_path / "b"]
    result = run("generate", "--bundle", tiny_bundle.path, *arguments)
    assert result.exit_code == 3 and "Draws ran out" in result.stderr
    checked = run("batch", "check", tmp_path / "b")
    assert checked.exit_code == 3 and "of 32 faces" in checked.stdout
    assert json.loads(run("batch", "check", tmp_path / "b", "--json").stdout)["complete"] is False


def test_a_damaged_bundle_exits_1(own_bundle: Path, tmp_path: Path) -> None:
    path = own_bundle / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    result = run("generate", "--bundle", own_bundle, "-a", "Red", "--out", tmp_path / "b")
    assert result.exit_code == 1 and "damaged" in result.stderr and "Traceback" not in result.output
    assert not (tmp_path / "b" / "images").exists() or not any((tmp_path / "b" / "images").iterdir())
    assert run("bundle", "verify", own_bundle).exit_code == 1
    assert run("bundle", "verify", "celeba46").exit_code == 2


def test_attributes_and_info(tiny_bundle: Bundle) -> None:
    listed = json.loads(run("attributes", "--bundle", tiny_bundle.path, "--json").stdout)
    assert [row["name"] for row in listed["attributes"]] == list(tiny_bundle.vocabulary.names)
    assert listed["attributes"][4]["group"] == "animal" and listed["exclusive"] == [["Cat", "Dog"]]
    shown = run("attributes", "--bundle", tiny_bundle.path).stdout
    assert "Very_Big" in shown and "%" in shown
    about = json.loads(run("bundle", "info", tiny_bundle.path, "--json").stdout)
    assert about["digest"] == tiny_bundle.digest and about["size"] == 16
    assert "# tiny" in run("bundle", "info", tiny_bundle.path, "--card").stdout
    assert run("bundle", "verify", tiny_bundle.path).exit_code == 0


def test_spec_commands(tiny_bundle: Bundle, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("attributes: Red\ncount: 4")
    bad.write_text("attributes: Rde")
    result = run("spec", "check", good, bad, "--bundle", tiny_bundle.path)
    assert result.exit_code == 2 and "good, 1 request, 4 faces" in result.stdout and "Did you mean Red" in result.stderr
    assert result.stderr.startswith(f"Error: {bad}: ") and result.stderr.count("bad.yaml") == 1
    assert json.loads(run("spec", "schema").stdout)["title"] == "cfgan attribute spec"
    assert "Smiling+Eyeglasses" in run("spec", "list").stdout


def test_pack_train_build_generate(tmp_path: Path) -> None:
    """The whole road, from images to a batch, with settings of seconds."""
    celeba = draw_celeba(tmp_path / "celeba", 30, ("Red", "Round", "Cat"))
    store, guide, gan, prior = (tmp_path / name for name in ("store", "guide", "gan", "prior.safetensors"))
    verifier = tmp_path / "verifier"
    bundle = tmp_path / "bundle"
    quick = ["--set", "batch=4", "--set", "images=16", "--set", "threads=1", "-q"]
    steps = [
        ["data", "pack", celeba, "--out", store, "--size", 16],
        ["data", "check", store],
        ["train", "verifier", "--data", store, "--out", guide, "--set", "widths=[4,8]", *quick],
        ["train", "verifier", "--data", store, "--out", verifier, "--set", "widths=[4,8]", "--set", "seed=1", *quick],
        ["train", "gan", "--data", store, "--out", gan, "--set", "width=8", "--set", f"guide={guide}", *quick],
        ["train", "prior", "--data", store, "--out", prior, "-q"],
        ["bundle", "build", "--out", bundle, "--name", "drawn", "--gan", gan, "--verifier", verifier, "--prior", prior]
        + ["--data", "drawn heads", "--licence", "free", "--draws", 100, "-q"],
        ["bundle", "verify", bundle],
        ["generate", "--bundle", bundle, "-a", "Red", "-n", 3, "--no-verify", "--out", tmp_path / "faces"],
        ["batch", "check", tmp_path / "faces"],
    ]
    for step in steps:
        result = run(*step)
        assert result.exit_code == 0, (step, result.output)
    parts = ["--gan", gan, "--prior", prior, "--data", "x", "--licence", "y", "--draws", 100]
    refused = run("bundle", "build", "--out", tmp_path / "no", "--name", "no", "--verifier", guide, *parts)
    assert refused.exit_code == 2 and "has guided the generator" in refused.stderr
    card = (bundle / "README.md").read_text()
    assert "drawn heads" in card and "| Round |" in card and str(tmp_path) not in card
    assert str(tmp_path) not in (bundle / "config.json").read_text()
    table = json.loads(run("evaluate", bundle, "-n", 100, "--json").stdout)
    assert 0 <= table["agreement"] <= 1 and set(table["attributes"]) == {"Red", "Round", "Cat"}
    assert "mean agreement" in run("evaluate", bundle, "-n", 100).stdout


def test_training_errors_are_messages(tmp_path: Path) -> None:
    nowhere = ["--data", tmp_path / "none", "--out", tmp_path / "run"]
    assert "not a packed store" in run("train", "gan", *nowhere).stderr
    assert "Did you mean width" in run("train", "gan", *nowhere, "--set", "widht=3").stderr
    assert "Did you mean celeba64" in run("train", "gan", *nowhere, "--config", "celeba").stderr
    assert run("train", "prior", "--out", tmp_path / "p").exit_code == 2
    assert run("data", "pack", tmp_path / "none", "--out", tmp_path / "s").exit_code == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["generate", "--help"],
        ["evaluate", "--help"],
        ["testset", "export", "--help"],
        ["--version"],
        ["spec", "list"],
        ["spec", "schema"],
    ],
)
def test_light_commands_do_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from cfgan_cli.app import app\n"
        f"sys.argv = ['cfgan', *{arguments!r}]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'sklearn', 'pandas'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["evaluate"], list(EXTRACTORS)),
        (["testset", "export"], list(FORMATS)),
        (["data", "stats"], list(LAYOUTS)),
        (["data", "import"], list(LAYOUTS)),
    ],
)
def test_help_names_what_the_registries_hold(command: list[str], names: list[str]) -> None:
    said = run(*command, "--help").stdout.replace("-\n", "-")
    said = " ".join(said.split()).replace("- ", "-")
    assert not [name for name in names if name not in said]


def test_a_report_on_a_folder_needs_no_name_of_a_command(tmp_path: Path) -> None:
    result = run("report", tmp_path / "none", "--out", tmp_path / "r")
    assert result.exit_code == 2 and "none" in result.stderr and "No such command" not in result.stderr


def test_checking_specs_and_batches_does_not_load_torch(tiny_bundle: Bundle, tmp_path: Path) -> None:
    batch = tmp_path / "b"
    assert run("generate", "--bundle", tiny_bundle.path, "-a", "Red", "-n", 2, "--out", batch).exit_code == 0
    for arguments in (
        ["spec", "check", str(batch / "spec.yaml"), "--bundle", str(tiny_bundle.path)],
        ["attributes", "--bundle", str(tiny_bundle.path)],
        ["batch", "check", str(batch)],
    ):
        test_light_commands_do_not_load_torch(arguments)


def test_the_spec_of_a_batch_says_which_bundle_made_it(tiny_bundle: Bundle, tmp_path: Path) -> None:
    batch, again = tmp_path / "b", ("--spec", tmp_path / "b" / "spec.yaml", "--out", tmp_path / "again")
    assert run("generate", "--bundle", tiny_bundle.path, "-a", "Red", "-n", 2, "--out", batch).exit_code == 0
    same = run("generate", "--bundle", tiny_bundle.path, *again)
    assert same.exit_code == 0 and "lies in a batch" not in same.stderr
    about = json.loads((batch / "batch.json").read_text())
    for name, said in (("celeba64", "--bundle celeba64 makes the same"), ("tiny", "in a batch of another tiny")):
        about["header"]["bundle"] = {"name": name, "digest": "0" * 64}
        (batch / "batch.json").write_text(json.dumps(about))
        result = run("generate", "--bundle", tiny_bundle.path, *again)
        assert result.exit_code == 0 and said in " ".join(result.stderr.split()), result.stderr
    (batch / "batch.json").write_text("[]")
    assert run("generate", "--bundle", tiny_bundle.path, *again).exit_code == 0


def test_names_from_a_spec_are_shown_as_they_are(tiny_bundle: Bundle, tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text("count: 2\nverify: {enabled: false}\nrequests: [{name: '[/x]'}, {name: '[red]y', attributes: Red}]")
    result = run("generate", "--bundle", tiny_bundle.path, "--spec", spec, "--out", tmp_path / "b")
    assert result.exit_code == 0 and "[/x]" in result.stdout and "[red]y" in result.stdout


def test_paths_that_the_system_refuses_are_one_sentence(tiny_bundle: Bundle) -> None:
    for arguments in (
        ["generate", "--bundle", tiny_bundle.path, "-a", "Red", "--out", "x" * 300],
        ["batch", "check", "x" * 300],
        ["spec", "check", "x" * 300, "--bundle", tiny_bundle.path],
        ["bundle", "info", "x" * 300],
    ):
        result = run(*arguments)
        assert (
            result.exit_code in (1, 2)
            and "Traceback" not in result.output
            and result.stderr.startswith(("Error", "xxx"))
        )


@pytest.mark.parametrize("command", ["check", "verify"])  # the second is what it was called first
def test_bundle_check(own_bundle: Path, command: str) -> None:
    result = run("bundle", command, own_bundle)
    assert result.exit_code == 0 and "complete and unchanged" in result.stdout
    (own_bundle / "README.md").write_text("another card")
    result = run("bundle", command, own_bundle)
    assert result.exit_code == 1 and "README.md" in result.stderr
    listed = run("bundle", "--help").stdout
    assert "check" in listed and "verify" not in listed


def test_older_names_of_options_still_work(tiny_bundle: Bundle, tmp_path: Path) -> None:
    arguments = ("generate", "--bundle", tiny_bundle.path, "-a", "Red", "-n", 2, "-q", "--no-verify")
    assert run(*arguments, "--free", "neutral", "--out", tmp_path / "old").exit_code == 0
    assert run(*arguments, "--unspecified", "zero", "--out", tmp_path / "new").exit_code == 0
    for name in ("checksums.sha256", "spec.yaml"):
        assert (tmp_path / "old" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    assert "free: neutral" in (tmp_path / "new" / "spec.yaml").read_text()
    assert "--free" not in run("generate", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["generate", "-a", "Red", "--no-verify", "--max-draws", "2", "-n", "8"], "--max-draws"),
        (["train", "prior", "--data", "x", "--rows", "5", "--out", "p"], "--rows"),
        (["data", "import", "x", "--out", "s", "--faces", "all"], "--faces"),
        (["data", "stats", "x", "--faces", "all"], "--faces"),
        (["data", "stats", "x", "--align", "--no-images"], "--align"),
        (["testset", "build", "Matched_Imposters", "--out", "s", "--no-identity", "--screen", "all"], "--screen"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "labels.csv").write_text("file,Red\na.png,1\nb.png,0\n")
    takes = ["--bundle", tiny_bundle.path] if arguments[0] in ("generate", "testset") else []
    found = run(*arguments, *takes)
    assert found.exit_code == 2 and option in found.output, found.output


@pytest.mark.parametrize(
    ("words", "built"), [("spec check --help", 1), ("attributes --help", 1), ("generat", 14), ("--help", 14), ("", 14)]
)
def test_only_what_is_called_is_built_and_nothing_else_is_said(words: str, built: int) -> None:
    arguments = words.split()
    called = app_for(arguments)
    assert len(called.registered_groups) + len(called.registered_commands) == built
    whole, part = (runner.invoke(each, arguments, prog_name="cfgan") for each in (app, called))
    assert (part.exit_code, part.output) == (whole.exit_code, whole.output)
