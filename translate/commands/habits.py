"""What to write instead of options that other programs have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import NamedTuple, get_args

from translate.config.habits import settings_called
from translate.config.model_settings import Architecture
from translate.config.nearest import nearest, nearest_settings
from translate.config.settings import Config
from translate.config.toml import setting_names, values_by_name
from translate.config.train_settings import TrainSettings

PIECES_PER_SENTENCE = 32  # for a batch size in sentences, with padding
SECTIONS = ("train", "model", "data", "vocab", "decode")  # the first that has a setting is meant
MAX_DIGITS = 6

# By option: other names for it, without dashes.
_SYNONYMS: Mapping[str, str] = {
    "--src": "source source-file src-file train-src input in i s train train-file training-data",
    "--tgt": "target trg target-file tgt-file train-tgt train-trg t",
    "--ref": "reference references refs target t",
    "--gold": "gold-file gold-links reference references ref",
    "--valid-src": "dev-src val-src validation-src valid-source validation-source",
    "--valid-tgt": "dev-tgt val-tgt validation-tgt valid-target validation-target",
    "--input": "src source in i input-file src-file file text-file",
    "--out": "output output-dir out-dir o save save-dir save-to save-path run run-dir name model-dir",
    "--output": "out o output-dir output-file outfile save save-to out-file hyp",
    "--init-from": "finetune fine-tune finetune-from pretrained pretrained-model from-pretrained from-run load",
    "--resume": "continue cont resume-from restore resume-from-checkpoint",
    "--dry-run": "dryrun estimate",
    "--align": "alignment alignments guided-alignment",
    "--beam-size": "beam beams num-beams beam-width b k",
    "--n-best": "nbest n num-return-sequences num-hypotheses alternatives",
    "--length-penalty": "lenpen alpha normalize length-normalization",
    "--no-repeat-ngram": "no-repeat-ngram-size ngram-blocking",
    "--max-length": "max-len max-new-tokens max-decoding-length max-output-length",
    "--min-length": "min-len min-new-tokens",
    "--sample": "do-sample sampling",
    "--temperature": "temp",
    "--top-k": "topk",
    "--top-p": "topp nucleus",
    "--json": "as-json jsonl output-json",
    "--attention": "attn attention-dir maps save-attention output-attentions",
    "--precision": "dtype compute-type quantize quantization",
    "--ensemble": "models",
    "--against": "compare baseline other",
    "--tokenize": "tokenizer tok",
    "--lowercase": "lc lower",
    "--vocab": "vocabulary spm",
    "--sentence": "line index id number",
    "--all-heads": "heads",
    "--words": "word word-level",
    "--html": "page web",
    "--png": "save image picture plot figure",
    "--open": "browser show open-browser",
    "--host": "address bind",
    "--format": "to type",
}
_GPUS = ("gpu", "gpus", "cuda", "use-gpu", "use-cuda", "num-gpus", "n-gpu", "devices")
_DEVICES = dict.fromkeys(_GPUS, "cuda") | {
    "cpu": "cpu",
    "use-cpu": "cpu",
    "no-cuda": "cpu",
    "no-gpu": "cpu",
    "mps": "mps",
}
_BATCHES = ("batch", "batch-size", "bs", "train-batch-size", "per-device-train-batch-size", "mini-batch", "minibatch")
_HALVES = ("fp16", "bf16", "half", "amp", "mixed-precision", "float16", "bfloat16")
_THREADS = ("workers", "num-workers", "threads", "num-threads", "cpu-threads", "num-cores", "jobs")
_RUNS = ("model", "run", "model-path", "model-dir", "path", "checkpoint", "checkpoint-path", "ckpt", "m", "load")
_CONFIGS = ("config", "settings", "conf", "cfg", "config-file", "c")
_TEXTS = ("text", "sentence", "sentences", "sent", "query")


class Habit(NamedTuple):
    """An option that a command lacks, as it was given."""

    name: str  # without dashes in front, in lower case
    value: str | None  # the word that follows it, if it may be its value
    command: str  # such as train
    options: Mapping[str, bool]  # those that the command has, and whether they take a value

    @property
    def is_for_training(self) -> bool:
        return "--init-from" in self.options

    @property
    def number(self) -> int:
        """The value as a number above 0, or 0."""
        return int(self.value) if self.value and self.value.isdecimal() and len(self.value) < MAX_DIGITS else 0

    def __call__(self, option: str) -> str:
        """Return the option of ours with the value."""
        return f"{option} {quote(self.value)}" if self.value is not None and self.options.get(option) else option

    def set(self, setting: str) -> str:
        """Return the option that sets a setting to the value. Switches are on without a value."""
        without = "true" if isinstance(values_by_name(Config())[setting], bool) else "VALUE"
        return f"--set {quote(f'{setting}={without if self.value is None else self.value}')}"


def advice_for(habit: Habit) -> str | None:
    """Return what to write instead, as words for a shell, or None if the option is unknown."""
    if meant := _explained(habit):
        return meant
    for own, others in _SYNONYMS.items():
        if own in habit.options and habit.name in others.split():
            return f"write {habit(own)}"
    has_settings = "--set" in habit.options
    if has_settings and (settings := _settings_of(habit.name)):
        return f"write {' '.join(map(habit.set, settings))}"
    names = [own.lstrip("-").replace("-", "_") for own in habit.options if own.startswith("--")]
    if not habit.name[:1].isdigit() and (near := nearest(habit.name, names)):
        return f"write {habit('--' + near.replace('_', '-'))}"
    near_settings = nearest_settings(habit.name.replace("-", "_"), setting_names()) if has_settings else []
    return f"write {' or '.join(map(habit.set, near_settings))}" if near_settings else None


def _explained(habit: Habit) -> str | None:
    """Explain the habits that are more than another name."""
    name, value, command, options = habit[:4]
    if name in _DEVICES and "--device" in options:
        if name in _GPUS and habit.number > 1 and habit.is_for_training:
            return f"start a process for each: torchrun --nproc-per-node {habit.number} -m translate train …"
        return f"write --device {_DEVICES[name]}"
    if name in _HALVES and "--precision" in options:
        return "write --precision bfloat16"
    if name in _BATCHES and command in ("decode", "evaluate", "score", "serve"):
        return "decode.batch_tokens in the run's config.toml sets the size of batches, in source pieces"
    if name in _THREADS:
        return f"set the environment variable OMP_NUM_THREADS={habit.number or 'N'}"
    if name in _TEXTS and command == "decode":
        return f"write the sentence without an option: translate decode RUN {quote(value or 'SENTENCE')}"
    if name in _CONFIGS and "--set" in options:
        return f"name the settings file without an option: translate {command} {quote(value or 'CONFIG.toml')}"
    if name in _RUNS and not habit.is_for_training and command != "check":
        return f"name the run without an option: translate {command} {quote(value or 'RUN')}"
    return _explained_for_training(habit) if habit.is_for_training else None


def _explained_for_training(habit: Habit) -> str | None:
    name, value = habit.name, habit.value
    if name in _BATCHES:
        size = habit.number or 128
        batch = f"for {size:,} sentences of up to {PIECES_PER_SENTENCE} pieces, write"
        return f"batches are measured in pieces; {batch} --set train.batch_tokens={size * PIECES_PER_SENTENCE}"
    if name in _HALVES:
        return "write --set train.precision=bfloat16; the default, auto, chooses it where it is faster"
    if name in ("optimizer", "optim"):
        known = get_args(TrainSettings.model_fields["optimizer"].annotation)
        return f"write --set train.optimizer={value if value in known else 'adamw'}; there are {' and '.join(known)}"
    if name == "model" and value in get_args(Architecture):
        return f"write {habit.set('model.architecture')}"
    if name in _RUNS:
        run = quote(value or "RUN")
        return (
            f"write --out {run} to name a new run, --resume --out {run} to continue it, --init-from {run} to fine-tune"
        )
    return None


def _settings_of(name: str) -> Sequence[str]:
    """Return the settings with this key, or those that other programs call so."""
    key, known = name.replace("-", "_"), setting_names()
    inside = [each for section in SECTIONS if (each := f"{section}.{key}") in known]
    return [key] if key in known else settings_called(key) or inside[:1]
