"""Programs that cannot express an architecture refuse it before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.runs import of_architecture, untrained
from translate import cli
from translate.config.settings import Config
from translate.run.folder import Run

CASES = {
    ("decode", "--engine", "ctranslate2", "a b"): "CTranslate2 has no model for {}; use --engine torch",
    (
        "score",
        "--engine",
        "ctranslate2",
        "--src",
        "a",
        "--tgt",
        "b",
    ): "CTranslate2 has no model for {}; use --engine torch",
    ("serve", "--engine", "ctranslate2"): "CTranslate2 has no model for {}; use --engine torch",
    ("export", "--format", "ctranslate2", "out"): "CTranslate2 has no model for {}; export to onnx instead",
    ("export", "--format", "huggingface", "out"): "Hugging Face export has no model for {}; export to onnx instead",
}


@pytest.mark.parametrize("architecture", ["recurrent", "decoder-only"])
@pytest.mark.parametrize("given", CASES, ids=" ".join)
def test_what_only_knows_the_transformer_refuses_others_in_one_line_and_writes_nothing(
    given: tuple[str, ...],
    architecture: str,
    tiny_config: Config,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = untrained(tmp_path / "run", of_architecture(tiny_config, architecture), Run.open(tiny_run).load_vocabs())
    files = sorted(tmp_path.rglob("*"))
    for name in "a", "b":
        (tmp_path / name).write_text("a b\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command, *rest = given
    assert cli._run([command, str(run.path), *rest]) == 2
    reason = CASES[given].format(f'model.architecture = "{architecture}"')
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {run.path}: {reason}"
    assert sorted(tmp_path.rglob("*")) == sorted([*files, tmp_path / "a", tmp_path / "b"])
