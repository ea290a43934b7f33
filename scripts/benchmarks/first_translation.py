"""From the start of a command to its first translation: the wait of a user who translates one sentence.

Ours and JoeyNMT's are the commands that users run. The other systems have none, so a short script stands in:
`python -m benchmarks.first_translation SYSTEM MODEL-FOLDER DEVICE BEAM-SIZE SENTENCE`, which imports what it needs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.child import environment

if TYPE_CHECKING:
    from benchmarks.decoding import DecodeJob


def seconds_to_first_translation(job: DecodeJob, sentence: str) -> float:
    """Return the seconds until the first line is on standard output. Raises UserError if there is none."""
    from translate.errors import UserError

    module, beam_size = "benchmarks.first_translation", str(job.beam_size)
    arguments = [job.system.removesuffix("-workers"), str(job.model), job.device, beam_size]
    if job.system.startswith("ours"):
        engine = "ctranslate2" if job.system == "ours-ctranslate2" else "torch"
        options = {"--beam-size": beam_size, "--device": job.device, "--engine": engine, "--precision": job.precision}
        module, arguments = "translate", ["decode", str(job.run), *(word for each in options.items() for word in each)]
    command = [sys.executable, "-m", module, *arguments, sentence]
    log_path = job.folder / "first.log"
    started = time.perf_counter()
    with (
        log_path.open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment(job.threads)
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if not line.endswith(b"\n"):
        raise UserError(f"{' '.join(command)}: no translation\n{log_path.read_text(errors='replace')}")
    return seconds


def ctranslate2(folder: str, device: str, beam_size: int, sentence: str) -> None:
    """Print a translation by CTranslate2, without torch, which it does not need."""
    import sentencepiece

    from translate.ctranslate2 import import_ctranslate2

    vocab = sentencepiece.SentencePieceProcessor(model_file=str(Path(folder) / "vocab.model"))
    translator = import_ctranslate2().Translator(folder, device=device)
    pieces = vocab.encode(sentence, out_type=str)
    print(vocab.decode(translator.translate_batch([pieces], beam_size=beam_size)[0].hypotheses[0]))


def huggingface(folder: str, device: str, beam_size: int, sentence: str) -> None:
    """Print a translation by Hugging Face's `generate`."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).to(device).eval()
    with torch.inference_mode():
        found = model.generate(**tokenizer([sentence], return_tensors="pt").to(device), num_beams=beam_size)
    print(tokenizer.batch_decode(found, skip_special_tokens=True)[0])


def joeynmt(folder: str, device: str, beam_size: int, sentence: str) -> None:
    """Print a translation by JoeyNMT's command `joeynmt translate`."""
    import io

    from joeynmt.config import load_config
    from joeynmt.prediction import translate

    from benchmarks.joeynmt_settings import allow_new_sentencepiece

    allow_new_sentencepiece()
    settings = load_config(Path(folder) / "config.yaml")
    settings["use_cuda"] = device == "cuda"
    settings["testing"]["beam_size"] = beam_size
    sys.stdin = io.StringIO(sentence + "\n")
    translate(settings)


SYSTEMS = {"ctranslate2": ctranslate2, "huggingface": huggingface, "joeynmt": joeynmt}

if __name__ == "__main__":
    SYSTEMS[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
