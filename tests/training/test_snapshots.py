"""Attention snapshots, recorded at each validation without affecting training."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import torch

from tests.helpers.runs import CPU, changed, load_weights, of_architecture, train_into
from translate.attention.extract import attention_maps
from translate.attention.maps import AttentionMaps
from translate.config.settings import Config
from translate.decoding.line_translator import LineTranslator
from translate.decoding.torch_engine import TorchEngine
from translate.run.folder import Run
from translate.run.model import build_model
from translate.run.weights import ModelIdentity
from translate.training.loop import train


def test_snapshots_are_the_maps_of_each_validated_model(tiny_config: Config, tmp_path: Path) -> None:
    settings = {"max_steps": 6, "validate_every": 2, "save_every": 2, "keep_checkpoints": 9, "snapshot_sentences": 2}
    config = changed(tiny_config, "train", **settings)
    run = train_into(tmp_path / "run", config)
    steps = sorted(run.snapshots_path.glob("step-*"))
    assert [path.name for path in steps] == ["step-00000002", "step-00000004", "step-00000006"]
    vocabs = run.load_vocabs()
    assert vocabs
    pairs = [
        line.split("\n")[:2]
        for line in (Path(config.data.valid_src).read_text(), Path(config.data.valid_tgt).read_text())
    ]
    ids = [[[*row, vocab.eos_id] for row in vocab.encode(lines)] for vocab, lines in zip(vocabs, pairs, strict=True)]
    for folder in steps:
        model, identity = build_model(config, vocabs).eval(), ModelIdentity.of(config.model, vocabs)
        load_weights(run.checkpoints_path / folder.name / "model.safetensors", model, identity)
        translator = LineTranslator(TorchEngine([model], vocabs, CPU), vocabs, config)
        expected = attention_maps(translator, list(zip(*ids, strict=True)))
        for number, maps in enumerate(expected, start=1):
            found = AttentionMaps.load(folder / f"{number:06d}.npz")
            assert found.target == maps.target
            assert found.stacks.keys() == maps.stacks.keys()
            for kind, (weights, _) in maps.stacks.items():
                assert np.array_equal(found.stack(kind).weights, weights)
    page = (run.snapshots_path / "index.html").read_text(encoding="utf-8")
    assert page.count('class="sentence"') == 2
    validations = [line for line in run.metrics() if "valid_loss" in line]
    for number in 1, 2:
        block = re.search(rf'id="maps-{number}">(.*?)</script>', page)
        assert block
        versions = json.loads(block[1])["versions"]
        assert [version["label"] for version in versions] == ["step 2", "step 4", "step 6"]
        for version, scores in zip(versions, validations, strict=True):
            assert version["facts"][1] == f"BLEU {scores['bleu']:.1f}"
    last = LineTranslator(TorchEngine([model], vocabs, CPU), vocabs, changed(config, "decode", beam_size=1))
    written = [each.text for each in last.translations(pairs[0])]
    assert [
        json.loads(block)["versions"][-1]["written"] for block in re.findall(r'id="maps-\d+">(.*?)</script>', page)
    ] == written


def test_training_is_the_same_with_and_without_snapshots(tiny_config: Config, tmp_path: Path) -> None:
    weights = []
    for snapshot_sentences in 0, 3:
        config = changed(tiny_config, "train", max_steps=4, validate_every=2, snapshot_sentences=snapshot_sentences)
        config = changed(config, "model", dropout=0.2)
        run = train_into(tmp_path / str(snapshot_sentences), config)
        weights.append(run.weights_path.read_bytes())
        assert run.snapshots_path.exists() == bool(snapshot_sentences)
    assert weights[0] == weights[1]


def test_training_without_attention_neither_records_nor_proposes_maps(tiny_config: Config, tmp_path: Path) -> None:
    config = of_architecture(changed(tiny_config, "train", max_steps=1), "recurrent", attention="none")
    run = train_into(tmp_path / "run", config)
    assert not run.snapshots_path.exists()
    log = run.log_path.read_text(encoding="utf-8")
    assert len(log.partition("try next:\n")[2].splitlines()) == 2
    assert "attention" not in log


def test_resumed_training_keeps_earlier_snapshots_on_the_page(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, "train", max_steps=2, validate_every=2, save_every=2)
    run = train_into(tmp_path / "run", config)
    (run.snapshots_path / "step-00000002" / "scores.json").unlink()  # as written by older versions
    longer = changed(config, "train", max_steps=4)
    train(Run.resume(run.path, longer), longer, torch.device("cpu"))
    page = (run.snapshots_path / "index.html").read_text(encoding="utf-8")
    assert "step 2" in page
    assert "step 4" in page


def test_a_snapshot_that_was_not_recorded_at_its_step_is_kept_off_the_page(tiny_config: Config, tmp_path: Path) -> None:
    config = changed(tiny_config, "train", max_steps=2, validate_every=1, save_every=1)
    run = train_into(tmp_path / "run", config)
    first, second = (run.snapshots_path / f"step-0000000{step}" / "000001.npz" for step in (1, 2))
    shutil.copy(first, second)
    longer = changed(config, "train", max_steps=3)
    train(Run.resume(run.path, longer), longer, torch.device("cpu"))
    assert f"{second}: does not match its recorded checksum" in run.log_path.read_text(encoding="utf-8")
    assert "step 3" not in (run.snapshots_path / "index.html").read_text(encoding="utf-8")
