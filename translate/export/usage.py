"""How other programs load each kind of export: programs in Python and notes for the README.md of the export."""

from __future__ import annotations

from translate.config.settings import Config
from translate.data.vocab import VocabPair
from translate.export.model_card import Languages, Use
from translate.system.terminal_text import spelled_out

LINE = "A line to translate."

HUGGINGFACE = """
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

folder = {folder}
tokenizer = AutoTokenizer.from_pretrained(folder{options})
model = AutoModelForSeq2SeqLM.from_pretrained(folder{options})
batch = tokenizer([{line!r}], return_tensors="pt")
print(tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True)[0])
"""
CTRANSLATE2 = """
import ctranslate2
import sentencepiece

folder = {folder}
names = {vocabs}
src, tgt = (sentencepiece.SentencePieceProcessor(model_file=f"{{folder}}/{{name}}") for name in names)
translator = ctranslate2.Translator(folder)
pieces = src.encode([{line!r}], out_type=str)
(result,) = translator.translate_batch(pieces, beam_size={beam_size}, length_penalty={length_penalty})
print(tgt.decode(result.hypotheses[0]))
"""
ONNX = """
import json

import numpy
import onnxruntime
import sentencepiece

folder = {folder}
names = ("vocab.src.model", "vocab.tgt.model")
src, tgt = (sentencepiece.SentencePieceProcessor(model_file=f"{{folder}}/{{name}}") for name in names)
encoder, decoder = (onnxruntime.InferenceSession(f"{{folder}}/{{name}}.onnx") for name in ("encoder", "decoder"))
with open(f"{{folder}}/ids.json") as file:
    ids = json.load(file)


def run(session, arrays):
    names = [each.name for each in session.get_outputs()]
    given = {{each.name: arrays[each.name] for each in session.get_inputs()}}
    return dict(zip(names, session.run(names, given)))


source = numpy.array([[*src.encode({line!r}), ids["eos_id"]]])
state = {{"src": source, "src_mask": numpy.ones(source.shape, dtype=bool)}}
state |= run(encoder, state)
pieces = [ids["bos_id"]]
for _ in range(100):  # greedy search
    result = run(decoder, state | {{"pieces": numpy.array([{read}])}})
    pieces.append(int(result["logits"][0, -1].argmax()))
    if pieces[-1] == ids["eos_id"]:
        break
{then}print(tgt.decode(pieces[1:]))
"""
NEXT_STATE = """    state |= {"hidden": result["next_hidden"], "features": result.get("next_features")}
"""
ARGOS = """
import argostranslate.package
import argostranslate.translate

argostranslate.package.install_from_path({file})
print(argostranslate.translate.translate({line!r}, {src!r}, {tgt!r}))
"""


def huggingface_use(name: str, has_code: bool) -> Use:
    """Return how Transformers loads a folder. has_code: whether it contains the file that defines the model."""
    notes = ["Lines are not split, and are only truncated on request (`truncation=True`)."]
    notes.append("Text between `>>` and `<<` is replaced by the unknown piece.")
    if has_code:
        notes.append("`trust_remote_code=True` runs `modeling_rotary.py` of this folder: read it before you do.")
    tags = ("translation", *["custom_code"] * has_code)
    program = HUGGINGFACE.format(folder=_path(name), options=", trust_remote_code=True" * has_code, line=LINE)
    return Use("transformers", "transformers sentencepiece torch", program, notes, tags)


def ctranslate2_use(name: str, config: Config, vocabs: VocabPair) -> Use:
    """Return how CTranslate2 loads a folder."""
    names = ("vocab.model", "vocab.model") if vocabs.joint else ("vocab.src.model", "vocab.tgt.model")
    decode = config.decode.model_dump(include={"beam_size", "length_penalty"})
    program = CTRANSLATE2.format(folder=_path(name), vocabs=names, line=LINE, **decode)
    return Use("ctranslate2", "ctranslate2 sentencepiece", program)


def onnx_use(name: str, config: Config) -> Use:
    """Return how ONNX Runtime loads a folder, with a greedy search."""
    is_recurrent = config.model.architecture == "recurrent"
    read, then = ("pieces[-1:]", NEXT_STATE) if is_recurrent else ("pieces", "")
    program = ONNX.format(folder=_path(name), line=LINE, read=read, then=then)
    note = "The graphs contain no search; the program above searches greedily."
    return Use("onnx", "onnxruntime sentencepiece numpy", program, [note])


def argos_use(name: str, languages: Languages) -> Use:
    """Return how Argos Translate loads a package."""
    program = ARGOS.format(file=_path(name), line=LINE, src=languages.src, tgt=languages.tgt)
    notes = ["Argos Translate downloads a model that splits text into sentences when it first translates a language."]
    notes.append("Argos Translate searches with its own settings, and writes spaces for underscores.")
    return Use("argostranslate", "argostranslate", program, notes)


def _path(name: str) -> str:
    """Return a name next to the program as a Python string."""
    return repr(f"./{spelled_out(name, chr(10))}")
