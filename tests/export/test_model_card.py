"""README.md of exported models: front matter, scores with signatures, names that say anything, a program that runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from tests.helpers.runs import changed
from translate import cli
from translate.api import load_translator
from translate.evaluation.metrics import score
from translate.export.model_card import Languages, Use, model_card
from translate.export.usage import LINE, huggingface_use, onnx_use
from translate.run.folder import Run

PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WITHOUT_US = "import sys; sys.modules['translate'] = None\n"  # any import of our package fails
HOSTILE = 'x"]: {y}\n---\n- "`<script>` `` # \x1b é'


def front_matter(card: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which Transformers brings")
    _, front, body = card.split("---\n", 2)
    assert body.startswith("\n# ")
    return yaml.safe_load(front)


def test_a_card_names_languages_scores_and_sizes(tiny_run: Path, tmp_path: Path) -> None:
    assert cli._run(["export", str(tiny_run), str(tmp_path / "hf"), "--format", "huggingface", "--to", "fr-CA"]) == 0
    card = (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    front = front_matter(card)
    assert (front["language"], front["pipeline_tag"]) == (["en", "fr-CA"], "translation")
    assert (front["library_name"], front["tags"]) == ("transformers", ["translation"])
    last = Run(tiny_run).metrics()[-1]
    found = front["model-index"][0]["results"][0]["metrics"]
    assert [(each["type"], each["value"]) for each in found] == [("bleu", last["bleu"]), ("chrf", last["chrf"])]
    signatures = {name: each.signature for name, each in score(["a"], [["b"]]).items()}
    assert last["signatures"] == signatures
    for each, signature in zip(found, signatures.values(), strict=True):
        assert each["name"].endswith(signature)
        assert f"(`{signature}`)" in card
    for text in "# English to French (CA)", "54,912 parameters", "400 pieces", "`train.en`, `train.fr`; 200 sentence":
        assert text in card


def test_names_cannot_change_the_card(tiny_run: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / HOSTILE)
    shutil.copytree(tiny_run, run.path)
    data = {"train_src": f"C:\\secret\\{HOSTILE}", "train_tgt": "b.txt", "src_lang": "no", "tgt_lang": ""}
    run.write_config(changed(run.load_config(), "data", **data))
    run.metrics_path.write_text('{"step": 1, "valid_loss": 3.5, "bleu": 1.5, "signatures": {"bleu": "`\\u2028---"}}\n')
    for program in "print()", huggingface_use(HOSTILE, True).program, onnx_use(HOSTILE, run.load_config()).program:
        card = model_card(run, Languages(*run.load_config().data.languages), Use("x", "y", program), 5)
        front = front_matter(card)
        assert front["language"] == ["no"]  # not False
        shown = HOSTILE.replace("\n", "\\n").replace("\x1b", "\\x1b")
        assert front["model-index"][0]["name"] == shown
        assert f"``` {shown} ```" in card
        assert "secret" not in card
        (code,) = PROGRAM.findall(card)
        compile(code, "card", "exec")


def test_a_run_that_knows_no_scores_says_so(tiny_run: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.path.mkdir()
    for name in "config.toml", "vocab.model", "model.safetensors":  # enough for decoding
        shutil.copy(tiny_run / name, run.path)
    card = model_card(run, Languages("", ""), Use("x", "y", "print()"), 5)
    assert "language" not in front_matter(card)
    assert "metrics" not in front_matter(card)
    assert "# Translation model" in card
    assert "Not measured." in card


@pytest.mark.parametrize("format", ["huggingface", "ctranslate2", "onnx"])
def test_the_program_of_the_card_runs_without_this_package(format: str, tiny_run: Path, tmp_path: Path) -> None:
    package = {"huggingface": "transformers", "ctranslate2": "ctranslate2", "onnx": "onnxruntime"}[format]
    pytest.importorskip(package, reason=f"needs {package}")
    run = Run(tmp_path / "run")
    shutil.copytree(tiny_run, run.path)
    run.write_config(changed(run.load_config(), "model", positions="rotary"))
    save_file(load_file(run.weights_path), run.weights_path)  # without the settings that they were trained with
    assert cli._run(["export", str(run.path), str(tmp_path / "it's"), "--format", format]) == 0
    (program,) = PROGRAM.findall((tmp_path / "it's" / "README.md").read_text(encoding="utf-8"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITHOUT_US + program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if format == "huggingface":
        assert done.stdout.strip() == load_translator(run.path, "cpu").translate([LINE])[0].strip()
