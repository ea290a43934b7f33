"""What a user of Hugging Face runs for one sentence: MODEL-FOLDER DEVICE BEAM-SIZE SENTENCE."""

from __future__ import annotations

import sys

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer


@torch.inference_mode()
def main() -> None:
    """Print the translation."""
    folder, device, beam_size, sentence = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).to(device).eval()
    found = model.generate(**tokenizer([sentence], return_tensors="pt").to(device), num_beams=int(beam_size))
    print(tokenizer.batch_decode(found, skip_special_tokens=True)[0])


if __name__ == "__main__":
    main()
