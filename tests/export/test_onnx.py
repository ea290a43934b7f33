"""Exported graphs in ONNX Runtime, compared with the PyTorch model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.runs import of_architecture, untrained
from translate.api import load_translator
from translate.config.settings import Config
from translate.decoding.engine import Sentence, length_limit
from translate.decoding.torch_engine import TorchEngine
from translate.export.onnx import export_onnx
from translate.run.folder import Run

LINES = ["The two red birds sing.", "I love apples.", "a", "The cat sat on the mat and the dog did not see it."]
RECURRENT = [
    {"cell": "gru", "attention": "additive", "num_encoder_layers": 2, "num_decoder_layers": 2},
    {"cell": "lstm", "attention": "general", "num_encoder_layers": 2, "num_decoder_layers": 1},
    {"cell": "lstm", "attention": "none", "num_encoder_layers": 1, "num_decoder_layers": 2},
    {"cell": "gru", "attention": "dot", "num_encoder_layers": 1, "num_decoder_layers": 1},
]


def exported(run: Path, folder: Path) -> Any:
    """Export a run. Returns its graphs in ONNX Runtime, as functions of arrays by name that return arrays by name."""
    pytest.importorskip("onnxscript", reason="needs onnxscript: pip install -e '.[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install -e '.[onnx]'")
    export_onnx(Run.open(run), folder)

    def function(name: str) -> Any:
        session = runtime.InferenceSession(folder / f"{name}.onnx")
        names = [each.name for each in session.get_outputs()]
        return lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))

    return function("encoder"), function("decoder")


def architectures() -> list[Any]:
    """The tiny run, and settings of runs with random weights."""
    causal = {"positions": "rotary", "source_attention": "causal"}
    others = [("decoder-only", {}), ("decoder-only", causal)]
    return [pytest.param(None, id="transformer"), *(pytest.param(each, id=str(each)) for each in others)]


@pytest.mark.parametrize("architecture", architectures())
def test_logits_match_for_any_number_and_length_of_sentences(
    architecture: tuple[str, dict[str, object]] | None, tmp_path: Path, tiny_run: Path, tiny_config: Config
) -> None:
    run = tiny_run
    if architecture:
        config = of_architecture(tiny_config, architecture[0], **architecture[1])
        run = untrained(tmp_path / "run", config, Run.open(tiny_run).load_vocabs()).path
    encoder, decoder = exported(run, tmp_path / "onnx")
    translator = load_translator(run, "cpu")
    assert isinstance(translator.engine, TorchEngine)
    size = translator.vocabs.tgt.size
    generator = torch.Generator().manual_seed(1)
    for num_sentences, num_src, num_tgt in (2, 7, 5), (1, 1, 1), (3, 30, 12), (5, 4, 1):
        src = torch.randint(size, (num_sentences, num_src), generator=generator)
        src_mask = torch.rand(num_sentences, num_src, generator=generator) < 0.7
        src_mask[:, 0] = True
        pieces = torch.randint(size, (num_sentences, num_tgt), generator=generator)
        encoded = encoder({"src": src.numpy(), "src_mask": src_mask.numpy()})
        logits = decoder({"pieces": pieces.numpy(), "src_mask": src_mask.numpy()} | encoded)["logits"]
        with torch.inference_mode():
            ours = translator.engine.model(src, src_mask, pieces)
        np.testing.assert_allclose(logits, ours.numpy(), atol=1e-5, rtol=1e-5)
    ids = json.loads((tmp_path / "onnx" / "ids.json").read_text())
    assert (ids["bos_id"], ids["eos_id"]) == (translator.vocabs.tgt.bos_id, translator.vocabs.tgt.eos_id)


@pytest.mark.parametrize("settings", RECURRENT, ids=lambda settings: " ".join(map(str, settings.values())))
def test_greedy_search_with_the_steps_of_a_recurrent_model_matches_the_torch_engine(
    settings: dict[str, object], tmp_path: Path, tiny_run: Path, tiny_config: Config
) -> None:
    """The loop is that of docs/export.md. The batch is padded, because its lines differ in length."""
    config = of_architecture(tiny_config, "recurrent", **settings)
    run = untrained(tmp_path / "run", config, Run.open(tiny_run).load_vocabs())
    encoder, decoder = exported(run.path, tmp_path / "onnx")
    translator = load_translator(run.path, "cpu")
    vocabs = translator.vocabs
    rows = [[*row, vocabs.src.eos_id] for row in vocabs.src.encode(LINES)]
    src = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for place, row in zip(src, rows, strict=True):
        place[: len(row)] = row
    src_mask = np.arange(src.shape[1]) < np.array([[len(row)] for row in rows])
    pieces = np.full((len(rows), 1), vocabs.tgt.bos_id)
    inputs = {"src_mask": src_mask} | encoder({"src": src, "src_mask": src_mask})
    limits = [length_limit(Sentence(row), config.decode) for row in rows]
    for _ in range(max(limits)):
        result = decoder(inputs | {"pieces": pieces[:, -1:]})
        inputs |= {name: result[f"next_{name}"] for name in ("hidden", "features") if name in inputs}
        pieces = np.concatenate([pieces, result["logits"].argmax(axis=2)], axis=1)
    found = [[int(piece) for piece in row[1:limit]] for row, limit in zip(pieces, limits, strict=True)]
    ended = [row[: row.index(vocabs.tgt.eos_id)] if vocabs.tgt.eos_id in row else row for row in found]
    greedy = config.decode.model_copy(update={"beam_size": 1})
    assert vocabs.tgt.decode_rows(ended) == [each.text for each in translator.translations(LINES, greedy)]
