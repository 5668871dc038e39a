"""The documentation is true to the code: links lead somewhere, commands parse, Python blocks compile."""

from __future__ import annotations

import functools
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import cfgan
from cfgan.io.yaml import parse_yaml
from cfgan_cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("samples/**/README.md")]
    + [*ROOT.glob("cfgan/model/weights/*/README.md")]
)
WRITTEN = [page for page in PAGES if not page.name.startswith("CHANGELOG")]  # that one speaks of the past

_FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [textwrap.dedent(block) for _, kind, block in found if kind == language]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them; those of an included page are its own."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"```{include} (\S+)", text):
        text += (page.parent / name).read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_an_included_page_keeps_its_links_into_the_documentation() -> None:
    """On the site they are looked for beside the page that includes it, unless that says otherwise."""
    for page in ROOT.glob("docs/*.md"):
        for name, options in re.findall(r"```{include} (\S+)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            linked = "](docs/" in (page.parent / name).read_text(encoding="utf-8")
            assert not linked or ":relative-docs: docs/" in options, page.name


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), f"{link}: no such file"
        assert target.resolve().is_relative_to(ROOT), f"{link}: outside the project"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading; there are {sorted(anchors(target))}"


def test_every_page_is_in_the_site() -> None:
    listed = set()
    for index in (ROOT / "docs" / "index.md", ROOT / "docs" / "howto" / "index.md"):
        for block in blocks(index, "{toctree}"):
            listed |= {(index.parent / line).with_suffix(".md") for line in block.splitlines() if line[:1].isalpha()}
    there = set((ROOT / "docs").rglob("*.md")) - {ROOT / "docs" / "index.md"}
    assert listed == there


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_python_blocks_compile_and_use_public_names(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, ids(page), "exec")
        used = set(re.findall(r"\bcfgan\.(\w+)", re.sub(r"(from|import) cfgan\S*", "", block)))
        assert used <= set(cfgan.__all__), f"not public: {sorted(used - set(cfgan.__all__))}"
        for module in re.findall(r"^\s*from (cfgan\S*) import", block, re.MULTILINE):
            path = ROOT / module.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").is_file(), module


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_yaml_blocks_parse(page: Path) -> None:
    for block in blocks(page, "yaml"):
        parse_yaml(block, name=ids(page))


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_files_that_are_named_exist(page: Path) -> None:
    roots = ("cfgan/", "cli/", "tests/", "benchmarks/", "samples/", "attribute_specs/", "docs/")
    for span in _SPAN.findall(prose(page)):
        for word in span.split():
            if word.startswith(roots) and re.fullmatch(r"[\w./+-]+", word) and "NAME" not in word:
                assert (ROOT / word).exists(), word


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_commands_parse(page: Path) -> None:
    for line in shown_commands(page):
        check(line, whole=True)
    for span in _SPAN.findall(prose(page)):
        if span.startswith(("cfgan ", "python benchmarks/")):
            check(span, whole=False)


def shown_commands(page: Path) -> Iterator[str]:
    """Lines after a prompt, with what goes on in the next one."""
    for block in blocks(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield from (part.strip() for part in re.split(r";|&&|\bdo\b", line.removeprefix("$ ")))


def check(line: str, *, whole: bool) -> None:
    """Raise AssertionError for a command of ours that does not parse; ``whole``: nothing required may be missing."""
    words = shlex.split(line, comments=True)
    if ">" in words:
        words = words[: words.index(">")]
    if "cfgan_cli.main" in words:
        words = ["cfgan", *words[words.index("cfgan_cli.main") + 1 :]]
    if not words or words[-1] == "...":
        words, whole = words[:-1], False
    if words[:1] == ["cfgan"]:
        _check_cfgan(line, words[1:], whole=whole)
    elif words[:1] == ["python"] and words[1].startswith("benchmarks/"):
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert f'"{option}"' in script, f"{line}: {words[1]} has no option {option}"


@functools.cache
def whole_app() -> Any:
    return typer.main.get_command(app)


def _check_cfgan(line: str, words: list[str], *, whole: bool) -> None:
    command = whole_app()
    context = command.context_class(command, info_name="cfgan")
    if words in (["--help"], ["--version"]):
        return
    while hasattr(command, "commands"):
        if not words or "|" in words[0]:  # the name of a group, or of several commands, in a sentence
            assert not whole, f"{line}: a command is missing"
            return
        if words[0] not in command.commands and context.info_name == "report":
            words = ["batch", *words]  # `cfgan report FOLDER`
        assert words[0] in command.commands, f"{line}: no such command"
        command = command.commands[words[0]]
        context = command.context_class(command, info_name=words[0], parent=context)
        words = words[1:]
    if not whole and not any(word.startswith("-") for word in words):
        return  # a command's name in a sentence
    try:
        found, left, _ = command.make_parser(context).parse_args(list(words))
    except Exception as error:
        raise AssertionError(f"{line}: {error}") from None
    assert not left, f"{line}: {left} is left over"
    missing = [each.name for each in command.params if each.required and not found.get(each.name)]
    eager = {each.name for each in command.params if each.is_eager and found.get(each.name)}
    assert not whole or not missing or eager, f"{line}: {missing} is missing"


@pytest.mark.parametrize(
    "line",
    [
        "cfgan generat -a Male",
        "cfgan generate --atrs Male",
        "cfgan train gan --data stores/celeba64",
        "cfgan bundle check one two",
        "cfgan report",
        "python benchmarks/throughput.py --face 3",
    ],
)
def test_a_command_that_does_not_parse_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(line)):
        check(line, whole=True)
