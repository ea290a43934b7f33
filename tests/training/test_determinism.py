"""The same settings, text and seed give bit-identical results in two processes, whatever else differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.corpora import TOY, head
from tests.helpers.runs import ARCHITECTURES, TINY, with_model
from translate.config.settings import Config
from translate.config.toml import load_config

WORK = """
import json, random, sys
from dataclasses import asdict
from pathlib import Path
import numpy, torch
from translate.training import log as journal
from translate.config.toml import load_config
from translate.api import load_translator
from translate.decoding.line_translator import LineTranslator
from translate.run.folder import Run
from translate.config.settings import DecodeSettings
from translate.training.loop import train
from translate.decoding.results import DecodeRequest

every, top, other_work = json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "True"
journal.save_curves = lambda *_: None

def trained(path, settings):
    config = load_config(None, settings)
    run = Run.create(path, config)
    train(run, config, torch.device("cpu"))
    return run

if other_work:
    random.seed(5), numpy.random.seed(6), torch.manual_seed(7)
    changes = {"train.seed": 3, "train.max_steps": 3, "model.d_ff": 48}
    trained(top.with_name("before"), every["transformer"] | changes)
for name, settings in every.items():
    folder = top / name
    run = trained(folder, settings)
    translator = load_translator(run.path, "cpu")
    lines = Path(settings["data.valid_src"]).read_text(encoding="utf-8").splitlines()
    told = []
    for search in {}, {"sample": True, "top_k": 50}:
        search = DecodeSettings.model_validate(translator.settings.model_dump() | search)
        told += [asdict(each) for each in translator.translations(lines, search, DecodeRequest(details=True))]
    (folder / "told.json").write_text(json.dumps(told))
"""
# Whatever draws at random, or may add up in another order.
RANDOM = {
    "vocab.dropout": 0.2,
    "train.accumulate": 3,
    "train.ema_decay": 0.8,
    "train.precision": "bfloat16",
    "train.validate_every": 2,
    "train.max_steps": 4,
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of runs of the same program, in processes that share only the settings and the number of threads."""
    top = tmp_path_factory.mktemp("twins")
    settings = dict(TINY | RANDOM)
    for name, part, language, count in (
        ("data.train_src", "train", "en", 120),
        ("data.train_tgt", "train", "fr", 120),
        ("data.train_align", "train", "align", 120),
        ("data.valid_src", "valid", "en", 4),
        ("data.valid_tgt", "valid", "fr", 4),
    ):
        file = top / f"{part}.{language}"
        file.write_text(head(TOY / file.name, count), encoding="utf-8")
        settings[name] = str(file)
    config = load_config(None, settings)
    models = {name: with_model(config, name, dropout=0.2, attention_dropout=0.1) for name in ARCHITECTURES}
    every = {name: flat(each) for name, each in models.items()}
    folders = top / "one", top / "elsewhere" / "another name"
    processes = []
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        command = [sys.executable, "-c", WORK, json.dumps(every), folder, str(number == 1)]
        environment = os.environ | {"PYTHONHASHSEED": str(number + 1), "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(TOY.parents[1]), os.environ.get("PYTHONPATH", "")])
        processes.append(subprocess.Popen(command, cwd=folder.parent, env=environment, stderr=subprocess.PIPE))
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()[-2000:]
    return folders


def flat(config: Config) -> dict[str, object]:
    """The settings by their whole names."""
    return {f"{section}.{name}": value for section, table in config for name, value in table}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def twins(pairs: tuple[Path, Path], request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """The two runs of each architecture."""
    one, other = pairs
    return one / request.param, other / request.param


def contents(folder: Path, pattern: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}


def test_weights_checkpoints_and_vocabulary_are_bit_identical_in_two_processes(
    twins: tuple[Path, Path],
) -> None:
    for pattern in "*.safetensors", "checkpoints/*/*.safetensors", "*.model":
        one, other = (contents(folder, pattern) for folder in twins)
        assert one, pattern
        assert one == other


def test_metrics_are_identical_except_for_the_time(twins: tuple[Path, Path]) -> None:
    def figures(folder: Path) -> list[dict[str, object]]:
        lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        return [{name: line[name] for name in line.keys() - {"minutes", "tokens_per_second"}} for line in lines]

    one, other = map(figures, twins)
    assert len(one) > 2
    assert one == other


def test_beam_search_and_sampling_give_identical_translations_and_scores(twins: tuple[Path, Path]) -> None:
    one, other = (folder.joinpath("told.json").read_bytes() for folder in twins)
    assert len(json.loads(one)) == 8
    assert one == other
