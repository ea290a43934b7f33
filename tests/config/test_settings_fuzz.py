"""Settings with arbitrary input: typos, wrong types, invalid values, malicious text and files."""

from __future__ import annotations

import random
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from translate.config.settings import Config
from translate.config.toml import load_config, parse_override, setting_names, to_toml
from translate.errors import UserError

NAMES = setting_names()
SECTIONS = sorted(Config.model_fields)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def field_of(name: str) -> FieldInfo:
    section, _, key = name.partition(".")
    return type(getattr(Config(), section)).model_fields[key]


def complaint(path: Path | None = None, overrides: dict[str, object] | None = None) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "c.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def typos_of(word: str, draw: random.Random) -> Iterator[str]:
    for place, letter in enumerate(word):
        before, after = word[:place], word[place + 1 :]
        yield before + after
        yield before + 2 * letter + after
        yield before + draw.choice(string.ascii_lowercase) + after
        yield before + after[:1] + letter + after[1:]
    yield from (word.upper(), word.title(), word.replace("_", "-"), word.replace("_", ""))


def test_the_hint_names_the_intended_setting_for_single_typos() -> None:
    draw = random.Random(1)
    cases = []
    for name in NAMES:
        section, _, key = name.partition(".")
        typos = [f"{section}.{typo}" for typo in typos_of(key, draw)]
        typos += [f"{typo}.{key}" for typo in typos_of(section, draw)]
        typos += [f"{other}.{key}" for other in SECTIONS]
        known = [typo for typo in dict.fromkeys(typos) if typo not in NAMES and all(typo.partition("."))]
        cases += [(name, typo) for typo in draw.sample(known, 6)]
    num_right = 0
    for name, typo in cases:
        said = complaint(overrides={typo: 1})
        assert said.startswith(f"command line: {typo}: unknown setting; did you mean ")
        assert "\n" not in said
        num_right += name in said.partition("did you mean ")[2].rstrip("?").split(" or ")
    assert num_right >= 0.98 * len(cases)


def test_a_mistyped_section_is_reported_as_one_error(tmp_path: Path) -> None:
    path = written(tmp_path, "[Trian]\nseed = 3\nmax_steps = 4\n[nothing]\na = 1\nb = 1\n")
    assert complaint(path).splitlines() == [
        f"{path}: Trian: unknown section; did you mean [train]?",
        f"{path}: nothing: unknown section; the sections are data, decode, model, train, vocab",
    ]


@given(st.sampled_from(NAMES), JSON)
def test_any_value_is_accepted_or_rejected_with_a_message_that_names_the_setting(name: str, value: object) -> None:
    try:
        load_config(None, {name: value})
    except UserError as error:
        said = str(error)
        assert said.count(name.partition(".")[2])
        assert "\n" not in said
        assert len(said) < 400


@pytest.mark.parametrize("name", NAMES)
def test_values_out_of_range_are_rejected(name: str) -> None:
    field = field_of(name)
    beyond: list[object] = [[], {}, "\x1b[31m"] if field.annotation in (int, float, bool) else [3, [], False]
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            beyond.append(limit.ge - 1)
        if isinstance(limit, annotated_types.Gt):
            beyond.append(limit.gt)
        if isinstance(limit, annotated_types.Le):
            beyond.append(limit.le + 1)
        if isinstance(limit, annotated_types.Lt):
            beyond.append(limit.lt)
    if field.annotation in (int, float):
        assert len(beyond) > 3, "a number without a limit"
        beyond += [float("nan"), float("inf"), -(10**400), True]
    if name in ("data.src_column", "data.tgt_column"):
        beyond = [0, [], False, "", "2"]
    if name == "data.filter":
        beyond = [3, ["identicall"], [[]], False]
    for value in beyond:
        said = complaint(overrides={name: value})
        assert said.startswith((f"command line: {name} = ", "command line: data.filter: ")), said
        assert said.isprintable()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model.num_heads = 3", "num_heads 3"),
        ("model.d_model = 9\nmodel.num_heads = 3", "d_model 9"),
        ('train.schedule = "cosine"\ntrain.max_steps = 400', "max_steps"),
        ('train.schedule = "cosine"\ntrain.max_steps = 0', "max_steps"),
        ("train.decay_from = 0.5", "decay_from"),
        ('data.valid_src = "a"', "valid_tgt"),
        ('data.valid_tgt = "a"', "valid_src"),
        ('data.train_tgt = "a"', "train_src"),
        ('data.train_align = "a"', "data.train_align"),
        ("train.alignment_layer = 3", "train.alignment_layer"),
        ("train.alignment_head = 4", "train.alignment_head"),
        ("train.accumulate = 9\ntrain.batch_tokens = 8", "accumulate"),
        ('train.best_by = "bleu"\ntrain.validate_sentences = 0', "best_by"),
    ],
)
def test_an_invalid_combination_is_reported_on_one_line(tmp_path: Path, text: str, named: str) -> None:
    path = written(tmp_path, text)
    said = complaint(path)
    assert said.startswith(f"{path}: ")
    assert named in said
    assert "\n" not in said


def values_of(name: str) -> st.SearchStrategy[object]:
    """Return a strategy for all valid values of the setting."""
    field = field_of(name)
    if get_origin(field.annotation) is Literal:
        return st.sampled_from(get_args(field.annotation))
    if field.annotation is bool:
        return st.booleans()
    if field.annotation is str:
        return st.just("") if name.startswith("data.valid_") else st.text().map(_as_path).filter(_is_settled)
    limits: dict[str, Any] = {}
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            limits["min_value"] = limit.ge
        if isinstance(limit, annotated_types.Gt):
            limits |= {"min_value": limit.gt + 1} if field.annotation is int else {"min_value": 1e-300}
        if isinstance(limit, annotated_types.Le):
            limits["max_value"] = limit.le
        if isinstance(limit, annotated_types.Lt):
            limits |= {"max_value": limit.lt - 1} if field.annotation is int else {"max_value": 0.999}
    number = st.integers(**limits) if field.annotation is int else st.floats(**limits, allow_infinity=False)
    return number if field.annotation is int else number.filter(lambda value: abs(value) < 1e300)


def _as_path(text: str) -> str:
    return f"/{text}"


def _is_settled(path: str) -> bool:
    try:
        return str(Path(path).resolve()) == path
    except ValueError:  # NUL
        return False


@given(st.dictionaries(st.sampled_from(NAMES), st.none()).flatmap(
    lambda names: st.fixed_dictionaries({name: values_of(name) for name in names})
))  # fmt: skip
def test_valid_settings_survive_a_toml_round_trip(values: dict[str, object]) -> None:
    try:
        config = load_config(None, values)
    except UserError:
        assume(False)
        return
    with tempfile.TemporaryDirectory() as folder:
        assert load_config(written(Path(folder), to_toml(config))) == config


def test_unusual_strings_survive_a_toml_round_trip(tmp_path: Path) -> None:
    for name in [
        '/"\'"""',
        "/a\nb\r\n\tc",
        "/👩\u200d👩\u200d👧 \u2028\x85",
        "/\x01\x1b[31m\x7f\x9b",
        "/#",
        "/\\u0041",
    ]:
        config = load_config(None, {"data.train_src": name, "data.train_tgt": "/x"})
        assert config.data.train_src == name
        assert load_config(written(tmp_path, to_toml(config))) == config
    for name in "/\ud800", "/a\0b":
        assert "data.train_src = " in complaint(overrides={"data.train_src": name, "data.train_tgt": "/x"})


@given(st.sampled_from([*NAMES, "", "x", "train", ".", "a.b.c"]), st.text() | st.text("[]{}\"'\n=#0x.-", max_size=30))
def test_any_override_is_accepted_or_rejected(name: str, text: str) -> None:
    said = ""
    try:
        key, value = parse_override(f"{name}={text}")
        load_config(None, {key: value})
    except UserError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5_000, "3\ntrain.seed = 4", "{a=" * 1000])
def test_an_override_that_is_not_valid_toml_is_a_string(text: str) -> None:
    assert parse_override(f"train.max_steps={text}") == ("train.max_steps", text)
    said = complaint(overrides=dict([parse_override(f"train.max_steps={text}")]))
    assert said.startswith('command line: train.max_steps = "')
    assert len(said) < 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe[\0t\0", "not UTF-8 (byte 0)"),
        (bytes(range(256)), "not UTF-8"),
        (b"\0" * 100, "not valid TOML"),
        (b"[train]\nseed = 1\nseed = 2", "not valid TOML: Cannot overwrite a value"),
        (b"[train]\nseed = 1\n[train]\nmax_steps = 2", "not valid TOML: Cannot declare"),
        (b"train.seed = " + b"[" * 9_000, "not valid TOML"),
        (b"train.seed" + b".a" * 500 + b" = 1", "train.seed = "),
        (b"train.seed = " + b"1" * 6000, "not valid TOML"),
        (b"train.seed = 0x" + b"f" * 6000, "train.seed = (int): "),
        (b"train.seed = 1979-05-27", 'train.seed = "1979-05-27": '),
        (b"[[train]]\nseed = 1", "train: this is a section"),
        (b'train.schedule = "' + b"x" * 9_000 + b'"', "train.schedule = "),
        (b'data.filter = "' + b"x" * 9_000 + b'"', "data.filter = "),
        (b'data.filter = ["' + b"x" * 9_000 + b'"]', "data.filter: "),
        (b"[train]\nseed" + b".a" * 50_000 + b" = 1", "line 2 is longer than 10,000 bytes"),
        (b"# line\n" * 2_000_000, "larger than 256 kB"),
        (b'[train]\n"a\\nb\\u001b[2J" = 1', r"train.a\nb\x1b[2J: unknown setting"),
    ],
)  # fmt: skip
def test_an_invalid_file_is_reported_on_one_short_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = written(tmp_path, content)
    told = complaint(path)
    assert told.startswith(f"{path}: {said}")
    assert "\n" not in told
    assert len(told) < len(str(path)) + 600  # the settings of a section may be listed


@pytest.mark.parametrize(
    "text", ["\ufeff[train]\r\nseed = 7\r\n", "train.seed = 7", "train = {seed = 7}", "['train']\n\"seed\" = 7 # ok"]
)
def test_all_toml_styles_are_accepted(tmp_path: Path, text: str) -> None:
    assert load_config(written(tmp_path, text)).train.seed == 7


def test_an_endless_device_is_rejected_as_a_settings_file() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero")
    assert "a regular file is needed" in complaint(Path("/dev/zero"))
