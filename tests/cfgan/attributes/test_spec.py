from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfgan.attributes.request import format_request, parse_request, request_from
from cfgan.attributes.spec import json_schema, make_plan, read_spec
from cfgan.attributes.spec_files import find_spec, shipped_specs
from cfgan.attributes.vocabulary import CELEBA, Vocabulary
from cfgan.errors import CfganError, InputError, RequestError, SpecError, VocabularyError
from cfgan.io.yaml import MAX_BYTES, dump_yaml, parse_yaml

values = st.one_of(st.just(1.0), st.just(-1.0), st.integers(-99, 99).map(lambda n: n / 100))
requests = st.dictionaries(st.sampled_from(CELEBA.names), values, max_size=8)


@given(requests)
def test_a_request_reads_back_as_written(request_: dict[str, float]) -> None:
    assert parse_request(format_request(request_), CELEBA) == request_


@pytest.mark.slow
@given(st.text(max_size=60))
def test_any_text_is_a_request_or_a_clear_error(text: str) -> None:
    try:
        parsed = parse_request(text, CELEBA)
    except CfganError:
        return
    assert all(name in CELEBA.names and -1 <= value <= 1 for name, value in parsed.items())


def test_the_notation() -> None:
    wanted = {"Male": 1.0, "Smiling": 0.5, "Wearing_Hat": -1.0}
    assert parse_request("male, smiling=0.5, -wearing hat", CELEBA) == wanted
    assert parse_request("+Male;Smiling=.5\n!wearing-hat", CELEBA) == wanted
    assert request_from(["Male", "Smiling=0.5", "-Wearing_Hat"], CELEBA) == wanted
    assert request_from({"Male": True, "Smiling": 0.5, "Wearing_Hat": False}, CELEBA) == wanted
    assert parse_request("", CELEBA) == {}


@pytest.mark.parametrize("text", ["Male,-Male", "Male,,Young", "Smiling=2", "Smiling=much", "=1", "Smiling=nan"])
def test_bad_requests_name_what_is_wrong(text: str) -> None:
    with pytest.raises((RequestError, VocabularyError), match="attrs"):
        parse_request(text, CELEBA)


def test_vary_makes_every_combination_in_equal_numbers(vocabulary: Vocabulary) -> None:
    plan = make_plan({"attributes": "Cat", "vary": ["Red", "round"], "count": 12}, vocabulary)
    assert [cell.count for cell in plan.cells] == [3, 3, 3, 3]
    assert {tuple(cell.request.items()) for cell in plan.cells} == {
        (("Red", r), ("Round", o), ("Cat", 1.0)) for r in (1.0, -1.0) for o in (1.0, -1.0)
    }
    assert len({cell.seed for cell in plan.cells}) == 4
    with pytest.raises(SpecError, match="12 or 16"):
        make_plan({"vary": ["Red", "Round"], "count": 13}, vocabulary)


def test_lists_inherit_and_override(vocabulary: Vocabulary) -> None:
    spec = {
        "count": 5,
        "seed": 9,
        "unspecified": "zero",
        "verify": {"max_draws": 7},
        "requests": [{"attributes": "Red"}],
    }
    spec["requests"] += [{"attributes": "Dog", "count": 2, "verify": {"threshold": 0.7}}]  # type: ignore[operator]
    first, second = make_plan(spec, vocabulary).cells
    assert (first.count, first.seed, first.unspecified, first.max_draws) == (5, 9, "zero", 7)
    assert (second.count, second.verify.threshold, second.max_draws) == (2, 0.7, 7)
    assert second.seed != 9
    again = make_plan(spec, vocabulary, {"seed": 4, "count": 1}).cells
    assert [c.count for c in again] == [1, 1] and again[0].seed == 4 and again[1].seed not in (4, second.seed)


@pytest.mark.parametrize(
    "spec",
    [
        {"attributes": "Cat,-Red", "count": 6, "seed": 3, "truncation": 1.5},
        {"vary": ["Red"], "count": 8, "name": "reds", "unspecified": {"Dog": False}},
        {"requests": [{"attributes": "Cat"}, {"attributes": {"Dog": 0.25}, "free": "neutral"}]},
    ],
)
def test_the_resolved_spec_reads_back_to_the_same_plan(spec: dict[str, object], vocabulary: Vocabulary) -> None:
    plan = make_plan(spec, vocabulary)
    again = make_plan(parse_yaml(dump_yaml(plan.resolved), name="x"), vocabulary)
    assert again == plan


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("atributes: Cat", "Did you mean attributes"),
        ("count: 0", "count"),
        ("count: many", "count"),
        ("seed: -1", "seed"),
        ("unspecified: sampel", "unspecified"),
        ("free: naturall", "unspecified"),
        ("verify: {treshold: 0.5}", "Did you mean threshold"),
        ("verify: {threshold: 1.5}", "threshold"),
        ("attributes: Cat\nattributes: Dog", "duplicate key"),
        ("attributes: [Cat", "line"),
        ("attributes: Cta", "Did you mean Cat"),
        ("a: &x 1\nb: *x", "aliases"),
        ("!!python/object:os.system {}", "line 1"),
        ("just text", "mapping"),
        ("requests: []", "empty"),
        ("vary: [Red, red]", "set already"),
        ("attributes: Cat\nfree: {Cat: true}", "requested already"),
        ("extends: self.yaml", "extends itself"),
        ("requests: [{extends: x.yaml}]", "cannot hold"),
    ],
)
def test_bad_files_are_named_with_field_and_nearest(
    text: str, says: str, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    file = tmp_path / "self.yaml"
    file.write_text(text)
    with pytest.raises((SpecError, RequestError, VocabularyError), match=says) as caught:
        read_spec(str(file), vocabulary)
    assert caught.value.field


def test_size_limit_and_encodings(tmp_path: Path, vocabulary: Vocabulary) -> None:
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SpecError, match="larger"):
        read_spec(str(big), vocabulary)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(SpecError, match="UTF-8"):
        read_spec(str(tmp_path / "latin.yaml"), vocabulary)
    with pytest.raises(SpecError, match="folder"):
        read_spec(str(tmp_path), vocabulary)
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"attributes": {"Cat": True}, "count": 3}))
    assert read_spec(str(file), vocabulary).count == 3


def test_extends_takes_the_base_and_overrides(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "base.yaml").write_text("attributes: Cat\ncount: 7\nverify: {max_draws: 9}")
    (tmp_path / "top.yaml").write_text("extends: base.yaml\ncount: 2\nverify: {threshold: 0.6}")
    (cell,) = read_spec(str(tmp_path / "top.yaml"), vocabulary).cells
    assert (cell.request, cell.count, cell.max_draws, cell.verify.threshold) == ({"Cat": 1.0}, 2, 9, 0.6)


@pytest.mark.parametrize("name", sorted(shipped_specs()))
def test_every_shipped_spec_is_found_by_name_and_valid(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = read_spec(name.lower(), CELEBA)
    assert plan.count >= 16 and find_spec(f"{name}.yaml").stem == name
    jsonschema.validate(parse_yaml(shipped_specs()[name].read_text(), name=name), json_schema())


def test_eight_specs_ship_and_an_unknown_one_is_suggested() -> None:
    assert len(shipped_specs()) >= 8
    with pytest.raises(SpecError, match=r"Smiling\+Eyeglasses"):
        find_spec("Smiling+Eyeglases")
    with pytest.raises(SpecError):
        find_spec("../etc/passwd")


def test_the_schema_refuses_what_the_parser_refuses() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for bad in ({"count": 0}, {"unknown": 1}, {"verify": {"threshold": 2}}, {"requests": [{"count": "x"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_no_two_cells_share_a_seed(vocabulary: Vocabulary) -> None:
    spec = {"vary": ["Round"], "count": 2, "requests": [{"attributes": a} for a in ("Red", "-Red", "Cat")]}
    seeds = [cell.seed for cell in make_plan(spec, vocabulary).cells]
    assert len(set(seeds)) == 6 and seeds[0] == 0


def test_long_requests_and_shared_names_read_back(vocabulary: Vocabulary) -> None:
    names = dict.fromkeys(("Red", "Round", "Striped", "Very_Big", "Cat"), 0.123456789)
    plan = make_plan({"attributes": names}, vocabulary)
    assert len(format_request(names)) > 80
    assert make_plan(plan.resolved, vocabulary) == plan
    named = make_plan({"name": "top", "requests": [{"attributes": "Red"}, {"attributes": "Cat"}]}, vocabulary)
    assert [cell.name for cell in named.cells] == ["Red", "Cat"] and named.resolved["name"] == "top"


@pytest.mark.parametrize("base", ["../base.yaml", "/etc/hostname", "a/b.yaml", ".."])
def test_extends_stays_in_its_folder(tmp_path: Path, vocabulary: Vocabulary, base: str) -> None:
    (tmp_path / "base.yaml").write_text("count: 3")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "top.yaml").write_text(f"extends: {base}")
    with pytest.raises(SpecError, match="one file beside this one"):
        read_spec(str(tmp_path / "in" / "top.yaml"), vocabulary)


@pytest.mark.parametrize("text", ["a: !!bool maybe", 'a: "\\Uffffffff"', "a: !!int ''", "[" * 5000])
def test_malformed_scalars_are_clear_errors(tmp_path: Path, vocabulary: Vocabulary, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SpecError):
        read_spec(str(tmp_path / "x.yaml"), vocabulary)
    for path in ("~no-such-user/x", "x" * 300):
        with pytest.raises(InputError):
            read_spec(path, vocabulary)


@pytest.mark.parametrize(("old", "word"), [("natural", "sample"), ("neutral", "zero"), ({"Cat": 1.0}, {"Cat": 1.0})])
def test_the_older_name_of_unspecified_is_read_and_stays_in_files(vocabulary: Vocabulary, old: Any, word: Any) -> None:
    plan = make_plan({"attributes": "Red", "free": old}, vocabulary)
    assert plan == make_plan({"attributes": "Red", "unspecified": word}, vocabulary)
    assert plan.cells[0].unspecified == word and plan.resolved["free"] == old and "unspecified" not in plan.resolved
    listed = {"unspecified": "zero", "requests": [{"attributes": "Red", "free": old}]}
    assert make_plan(listed, vocabulary).cells[0].unspecified == word, "whatever name, the nearer one wins"
    assert make_plan({"attributes": "Red", "unspecified": "zero"}, vocabulary, {"free": old}).cells == plan.cells
    with pytest.raises(SpecError, match="not both"):
        make_plan({"free": old, "unspecified": word}, vocabulary)
    properties = json_schema()["properties"]
    assert "unspecified" in properties and "free" not in properties


def test_a_request_may_be_text_wherever_a_mapping_may_be(vocabulary: Vocabulary) -> None:
    assert make_plan("Red,-Cat", vocabulary) == make_plan({"attributes": {"Red": True, "Cat": False}}, vocabulary)
    assert make_plan({"requests": ["Red", "any"]}, vocabulary) == make_plan(
        {"requests": [{"attributes": "Red"}, {"attributes": ""}]}, vocabulary
    )
    given = make_plan({"attributes": "Red", "unspecified": "Cat,-Striped"}, vocabulary)
    assert given == make_plan({"attributes": "Red", "unspecified": {"Cat": True, "Striped": False}}, vocabulary)
    with pytest.raises(SpecError, match="Did you mean sample"):
        make_plan({"unspecified": "sampel"}, vocabulary)


def test_any_asks_for_nothing(vocabulary: Vocabulary) -> None:
    assert make_plan("Any", vocabulary) == make_plan({}, vocabulary)
    assert make_plan({"attributes": "any"}, vocabulary).cells[0].request == {}
    assert parse_request("any", Vocabulary(("Any", "Red"))) == {"Any": 1.0}, "unless an attribute is called so"
