"""Commands and functions that need attention, for models that lack it or some of its kinds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from translate import cli, load
from translate.errors import UserError

NONE = 'the model has no attention (model.attention = "none")'
TEXT = "I love apples."


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "a.en").write_text(f"{TEXT}\nThe cat sat.\n")
    (tmp_path / "a.fr").write_text("J'aime les pommes.\nLe chat était assis.\n")
    return {"SRC": str(tmp_path / "a.en"), "TGT": str(tmp_path / "a.fr"), "MAPS": str(tmp_path / "maps")}


@pytest.mark.parametrize(
    ("command", "prefix"),
    [
        ("decode RUN x --attention MAPS", "RUN: "),
        ("decode RUN x --coverage-penalty 0.2", "decode.coverage_penalty = 0.2: "),
        ("decode RUN x --mask cross.0.0", "--mask cross.0.0: "),
        ("score RUN --src SRC --tgt TGT --attention MAPS", "RUN: "),
        ("align RUN --src SRC --tgt TGT", "RUN: "),
        ("attention RUN --mask every --src SRC --ref TGT", "--mask every: "),
        ("attention mask RUN --mask cross.0.0 --src SRC --ref TGT", "--mask cross.0.0: "),
    ],
)
def test_each_command_that_needs_attention_says_that_there_is_none(
    no_attention_run: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str], command: str, prefix: str
) -> None:
    places = {"RUN": str(no_attention_run), **files}
    assert cli._run([places.get(part, part) for part in command.split()]) == 2
    written = capsys.readouterr()
    assert (written.out, written.err.count("\n")) == ("", 1)
    assert f"error: {prefix.replace('RUN', places['RUN'])}{NONE}; " in written.err, "and the way out"
    assert not Path(files["MAPS"]).exists()


def test_translations_scores_and_python_work_without_attention(
    no_attention_run: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(["decode", str(no_attention_run), TEXT, "--device", "cpu"]) == 0
    assert cli._run(["score", str(no_attention_run), "--src", files["SRC"], "--tgt", files["TGT"]]) == 0
    assert "attention" not in capsys.readouterr().err
    t = load(no_attention_run, "cpu")
    for needs in lambda: t.attention(TEXT), lambda: t.align(TEXT, "J'aime"), lambda: t.without("cross.0.0"):
        with pytest.raises(UserError, match=re.escape(NONE)):
            needs()


def test_a_kind_that_the_model_lacks_is_refused_with_those_that_it_has(
    any_run: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    had = load(any_run, "cpu").attention(TEXT).kinds
    for kind, label in ("encoder", "encoder self-attention"), ("self", "self-attention over source and target"):
        options = ["--attention", files["MAPS"], "--attention-kinds", f"{kind},cross"]
        assert cli._run(["decode", str(any_run), TEXT, *options]) == (0 if kind in had else 2)
        said = capsys.readouterr().err
        reason = f"error: {any_run}: the model has no {label}; available: {', '.join(had)}\n"
        assert (reason in said) == (kind not in had)
    assert cli._run(["decode", str(any_run), TEXT, "--attention", files["MAPS"]]) == 0  # all that it has
    for kind in "cross", "encoder", "decoder", "self":
        status = cli._run(["attention", files["MAPS"], "--kind", kind])
        written = capsys.readouterr()
        assert status == (0 if kind in had else 2)
        assert (f"available: {', '.join(had)}\n" in written.err) == (kind not in had)
        page = Path(files["MAPS"]).parent / f"{kind}.html"
        assert cli._run(["attention", files["MAPS"], "--kind", kind, "--html", str(page)]) == status
        assert page.exists() == (kind in had)
        capsys.readouterr()
    assert cli._run(["attention", "roles", files["MAPS"]]) == 0


def test_python_gives_the_maps_that_the_model_has(any_run: Path, tmp_path: Path) -> None:
    a = load(any_run, "cpu").attention(TEXT)
    assert np.array_equal(a.cross, a.weights("cross"))
    a.save(tmp_path / "maps.npz")
    with np.load(tmp_path / "maps.npz") as arrays:
        assert {"source", "target", *a.kinds} == {*arrays}
    if "encoder" not in a.kinds:
        with pytest.raises(UserError, match=f"no encoder self-attention; available: {', '.join(a.kinds)}"):
            _ = a.encoder


def test_what_a_model_has_only_one_of_is_not_listed_as_a_range(
    any_run: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [
        ["attention", "mask", str(any_run), "--mask", "cross.9.9", "--src", files["SRC"], "--ref", files["TGT"]],
        ["align", str(any_run), "--src", files["SRC"], "--tgt", files["TGT"], "--head", "9"],
        ["decode", str(any_run), TEXT, "--attention", files["MAPS"], "--attention-layers", "9"],
    ]
    for command in commands:
        assert cli._run(command) == 2
        said = capsys.readouterr().err
        assert "available" in said
        assert not re.search(r"(\S+) to \1\b", said)
