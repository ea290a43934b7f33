"""Exported graphs in ONNX Runtime, compared with the PyTorch model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from translate.api import load_translator
from translate.decoding.torch_engine import TorchEngine
from translate.export.onnx import export_onnx
from translate.run.folder import Run


def test_logits_match_for_any_number_and_length_of_sentences(tmp_path: Path, tiny_run: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript: pip install -e '.[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install -e '.[onnx]'")
    export_onnx(Run.open(tiny_run), tmp_path / "onnx")
    encoder, decoder = (runtime.InferenceSession(tmp_path / "onnx" / f"{name}.onnx") for name in ("encoder", "decoder"))
    translator = load_translator(tiny_run, "cpu")
    assert isinstance(translator.engine, TorchEngine)
    size = translator.vocabs.tgt.size
    generator = torch.Generator().manual_seed(1)
    for num_sentences, num_src, num_tgt in (2, 7, 5), (1, 1, 1), (3, 30, 12), (5, 4, 1):
        src = torch.randint(size, (num_sentences, num_src), generator=generator)
        src_mask = torch.rand(num_sentences, num_src, generator=generator) < 0.7
        src_mask[:, 0] = True
        pieces = torch.randint(size, (num_sentences, num_tgt), generator=generator)
        (source,) = encoder.run(None, {"src": src.numpy(), "src_mask": src_mask.numpy()})
        inputs = {"pieces": pieces.numpy(), "source": source, "src_mask": src_mask.numpy()}
        (logits,) = decoder.run(None, inputs)
        with torch.inference_mode():
            ours = translator.engine.model(src, src_mask, pieces)
        np.testing.assert_allclose(logits, ours.numpy(), atol=1e-5)
    ids = json.loads((tmp_path / "onnx" / "ids.json").read_text())
    assert (ids["bos_id"], ids["eos_id"]) == (translator.vocabs.tgt.bos_id, translator.vocabs.tgt.eos_id)
