"""Hugging Face's `generate` with our exported model and batches of lines of similar length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from benchmarks.decoding import DecodeJob, Measured
from benchmarks.translating import Translate, in_order_of_length, measured
from translate.decoding.engine import Sentence, length_limit
from translate.export.huggingface import export_huggingface
from translate.run.folder import Run

BATCH_SENTENCES = 64  # faster than 16 or 32, and as fast as 128


def export(job: DecodeJob) -> None:
    """Write model and tokenizer in Hugging Face's format."""
    export_huggingface(Run.open(job.run), job.model)


def decode(job: DecodeJob) -> Measured:
    """Translate the text."""
    return measured(job, _load, ["transformers", "torch"])


def _load(job: DecodeJob) -> Translate:
    settings = Run.open(job.run).load_config().decode
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(job.model).to(job.device, getattr(torch, job.precision)).eval()

    @torch.inference_mode()
    def translate(lines: Sequence[str]) -> list[str]:
        translations: list[str] = []
        for start in range(0, len(lines), BATCH_SENTENCES):
            batch = tokenizer(
                list(lines[start : start + BATCH_SENTENCES]), padding=True, truncation=True, return_tensors="pt"
            ).to(job.device)
            longest = Sentence(range(batch["input_ids"].size(1)))
            found = model.generate(
                **batch,
                num_beams=job.beam_size,
                do_sample=False,
                length_penalty=settings.length_penalty,
                max_new_tokens=length_limit(longest, settings),
            )
            translations += tokenizer.batch_decode(found, skip_special_tokens=True)
        return translations

    return lambda lines: in_order_of_length(lines, translate)
