"""Use of the search in CUDA graphs where it is possible, and until it fails."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from translate.config.settings import DecodeSettings
from translate.decoding.captured_search import CapturedSearch
from translate.decoding.engine import Hypothesis, Sentence, Watch
from translate.model.linear_weights import Weights
from translate.model.seq2seq import Seq2Seq
from translate.model.transformer import Transformer
from translate.system.cuda_graphs import CudaGraphs, summary
from translate.system.terminal_text import print_message

SHARE = 4  # 1 / share of the GPU's memory for the tensors of searches


class GraphSearch:
    """Searches in CUDA graphs for a Transformer on CUDA."""

    def __init__(self, models: Sequence[Seq2Seq], output: Weights, bos_id: int, eos_id: int) -> None:
        """models: one, or an ensemble, which has no graphs. output: output weights of the first model."""
        self.captured: CapturedSearch | None = None
        if output.matrix.device.type == "cuda" and len(models) == 1 and isinstance(models[0], Transformer):
            max_bytes = torch.cuda.get_device_properties(output.matrix.device).total_memory // SHARE
            capture = CudaGraphs(output.matrix.device)
            self.captured = CapturedSearch(models[0], output, bos_id, eos_id, capture, max_bytes)

    def search(
        self, sentences: Sequence[Sentence], settings: DecodeSettings, watch: Watch | None
    ) -> list[list[Hypothesis]] | None:
        """Search a batch. Returns None where that is not possible. After an error, it is no longer possible."""
        if not self.captured or watch or not CapturedSearch.suits(sentences, settings):
            return None
        try:
            with torch.inference_mode():
                return self.captured.search(sentences, settings)
        except (RuntimeError, MemoryError) as error:
            print_message(f"warning: continuing without CUDA graphs: {summary(error)}")
        self.captured = None
        torch.cuda.empty_cache()
        return None
