"""The settings: typed, frozen, checked; TOML in, TOML out. Each default stands here and nowhere else."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from translate.errors import UserError

LARGEST = 2**31 - 1
Count = Annotated[int, Field(gt=0, le=LARGEST)]
Limit = Annotated[int, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, lt=1)]
FROZEN_IN_TRAINING = ("train.seed", "train.batch_tokens", "train.accumulate", "train.adam_beta2")
PATH_KEYS = {
    "data": ("train_src", "train_tgt", "valid_src", "valid_tgt"),
    "vocab": ("model",),
}


class Section(BaseModel):
    """A table of settings. Unknown names and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class DataSettings(Section):
    """Where the text is and which pairs of it are used."""

    train_src: str = Field("", description="training text, source side: plain, .gz or .tsv")
    train_tgt: str = Field("", description="training text, target side")
    valid_src: str = Field("", description="validation text, source side; split off the training text when not given")
    valid_tgt: str = Field("", description="validation text, target side")
    src_column: Count = Field(1, description="column of the source side in a .tsv file, from 1")
    tgt_column: Count = Field(2, description="column of the target side in a .tsv file, from 1")
    valid_pairs: Count = Field(1000, description="pairs to split off for validation (a twentieth of the text at most)")
    max_pieces: Count = Field(256, description="longest side of a training pair; longer inputs are cut when decoding")

    @model_validator(mode="after")
    def _both_sides(self) -> DataSettings:
        for part in "train", "valid":
            given = [bool(getattr(self, f"{part}_{side}")) for side in ("src", "tgt")]
            if given[0] != given[1]:
                there, missing = ("src", "tgt") if given[0] else ("tgt", "src")
                raise ValueError(f"{part}_{there} is set but {part}_{missing} is not; give both sides")
        return self


class VocabSettings(Section):
    """How text is cut into pieces (sentencepiece)."""

    size: Count = Field(8000, description="pieces; lowered where the text has too few")
    model: str = Field("", description="an existing sentencepiece model to use instead of training one")
    joint: bool = Field(True, description="one vocabulary for both languages")
    algorithm: Literal["bpe", "unigram"] = Field("bpe", description="bpe or unigram")
    character_coverage: Annotated[float, Field(ge=0.98, le=1)] = Field(
        0.9995, description="share of the text's characters that get a piece; the others are spelled in bytes"
    )
    byte_fallback: bool = Field(True, description="spell unknown characters in bytes, so that no input is unknown")
    normalization: Literal["identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"] = Field(
        "nmt_nfkc", description="sentencepiece's rule for equivalent characters; _cf folds case"
    )


class ModelSettings(Section):
    """The shape of the Transformer."""

    d_model: Count = Field(256, description="width")
    d_ff: Count = Field(1024, description="inner width of the feed-forward layers")
    num_heads: Count = Field(4, description="attention heads a layer")
    num_encoder_layers: Count = Field(3, description="layers")
    num_decoder_layers: Count = Field(3, description="layers")
    dropout: Share = Field(0.1, description="on embeddings and sub-layer outputs")
    attention_dropout: Share = Field(0.0, description="on attention weights; above 0 the CPU's fused kernel is lost")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before each sub-layer, or after (the paper)")
    tie_embeddings: bool = Field(True, description="one matrix for the embeddings and the output layer")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSettings:
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} does not divide by num_heads {self.num_heads}")
        if self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} is odd; sinusoidal positions come in pairs")
        return self


class TrainSettings(Section):
    """The optimization and its rhythm. A limit of 0 is no limit."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        1, description="of the initial weights, the order of the pairs and dropout"
    )
    batch_tokens: Count = Field(4096, description="target pieces a step and process, padding included")
    accumulate: Count = Field(1, description="parts in which a process computes a step, to save memory")
    max_steps: Limit = Field(100_000, description="stop after so many steps")
    max_epochs: Limit = Field(0, description="stop after so many passes over the text")
    max_minutes: Annotated[float, Field(ge=0)] = Field(0.0, description="stop after so much training time")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="the highest of the schedule")
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = Field(
        "inverse_sqrt", description="after the warm-up; cosine falls to 0 at max_steps"
    )
    warmup_steps: Limit = Field(400, description="steps of linear rise to learning_rate")
    adam_beta2: Share = Field(0.98, description="Adam's memory of squared gradients")
    ema_decay: Share = Field(0.0, description="above 0: use the weights' mean of about 1 / (1 - ema_decay) steps")
    clip_norm: Annotated[float, Field(ge=0)] = Field(1.0, description="longest gradient; 0 does not clip")
    label_smoothing: Share = Field(0.1, description="share of the target spread over all pieces")
    validate_every: Count = Field(500, description="steps between validations")
    validate_sentences: Limit = Field(1000, description="validation sentences translated for BLEU and chrF")
    best_by: Literal["valid_loss", "bleu", "chrf"] = Field(
        "valid_loss", description="what the best weights are best by"
    )
    patience: Limit = Field(10, description="stop after so many validations without a better one")
    save_every: Count = Field(500, description="steps between checkpoints")
    keep_checkpoints: Count = Field(2, description="checkpoints kept, the newest ones")
    log_every: Count = Field(50, description="steps between lines of metrics.jsonl")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where it is faster")
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile; auto: in long trainings on CUDA")

    @property
    def part_tokens(self) -> int:
        """Target pieces of one of the parts in which a step is computed."""
        return self.batch_tokens // self.accumulate

    @model_validator(mode="after")
    def _schedule_ends(self) -> TrainSettings:
        if self.schedule == "cosine" and not self.max_steps > self.warmup_steps:
            raise ValueError(
                f'schedule "cosine" ends at max_steps, which has to be above warmup_steps ({self.warmup_steps}); '
                f"it is {self.max_steps}"
            )
        if self.best_by != "valid_loss" and not self.validate_sentences:
            raise ValueError(f'best_by "{self.best_by}" needs validate_sentences above 0')
        if self.accumulate > self.batch_tokens:
            raise ValueError(f"accumulate {self.accumulate} is more than batch_tokens {self.batch_tokens}")
        return self


class DecodeSettings(Section):
    """The search for a translation."""

    beam_size: Annotated[int, Field(gt=0, le=1000)] = Field(5, description="hypotheses kept a step; 1 is greedy")
    length_penalty: Annotated[float, Field(ge=0, le=10)] = Field(
        1.0, description="score = log-probability / pieces ** length_penalty; 0 favours short translations"
    )
    max_length_ratio: Annotated[float, Field(gt=0, le=100)] = Field(
        2.0, description="longest translation: so many pieces a source piece, and 10"
    )
    batch_tokens: Count = Field(2048, description="source pieces translated together, padding included")

    def with_changes(self, **changes: object) -> DecodeSettings:
        """These settings but for what is given and not None. Raises UserError for a value that is not allowed."""
        given = {name: value for name, value in changes.items() if value is not None}
        try:
            return DecodeSettings.model_validate(self.model_dump() | given)
        except ValidationError as error:
            raise UserError("\n".join(_explain(mistake, None, {}) for mistake in error.errors())) from None


class Config(Section):
    """All settings of a run."""

    data: DataSettings = DataSettings()
    vocab: VocabSettings = VocabSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    decode: DecodeSettings = DecodeSettings()


def load_config(path: Path | None, overrides: Mapping[str, object] | None = None) -> Config:
    """The settings of a TOML file, or the defaults, with `section.key` overrides on top.

    Paths in the file are relative to the file, paths among the overrides to the working folder; both come back
    absolute. Raises UserError naming the file and each setting that is wrong, a line a mistake.
    """
    tables = _read_toml(path) if path else {}
    sources: dict[str, str] = {}
    if path:
        _make_absolute(tables, path.parent)
    for name, value in (overrides or {}).items():
        section, dot, key = name.partition(".")
        if not (section and dot and key):
            raise UserError(f"{name}: a setting is named SECTION.KEY, such as train.max_steps")
        table = {section: {key: value}}
        _make_absolute(table, Path.cwd())
        if not isinstance(tables.setdefault(section, {}), dict):
            raise UserError(f"{path}: {section}: this is a section; write [{section}] and its settings below")
        tables[section].update(table[section])
        sources |= {name: "command line", section: "command line"}
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        lines = [_explain(mistake, path, sources) for mistake in error.errors()]
        raise UserError("\n".join(lines)) from None


def parse_override(text: str) -> tuple[str, object]:
    """`SECTION.KEY=VALUE` -> name and value; the value is read as TOML, and as a plain string where it is none."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: write --set SECTION.KEY=VALUE, such as --set train.max_steps=1000")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value


def to_toml(config: Config) -> str:
    """Every setting with its value and, behind it, what it means."""
    lines = []
    for section, settings in config:
        lines.append(f"[{section}]")
        for key, field in type(settings).model_fields.items():
            value = json.dumps(getattr(settings, key), ensure_ascii=False).replace("\x7f", "\\u007f")
            lines.append(f"{key} = {value}  # {field.description}")
        lines.append("")
    return "\n".join(lines)


def differences(before: Config, now: Config) -> dict[str, str]:
    """The settings that differ, by name, and how, in words."""
    changed = {}
    for name in setting_names():
        section, _, key = name.partition(".")
        old, new = (getattr(getattr(config, section), key) for config in (before, now))
        if old != new:
            changed[name] = f"{name} = {json.dumps(old)} (now {json.dumps(new)})"
    return changed


def is_frozen(name: str) -> bool:
    """Whether a run has to keep this setting: its data, its shape or the order of its batches follow from it."""
    section, _, key = name.partition(".")
    if section == "data":
        return key not in PATH_KEYS["data"]  # the text may move; that it is the same is checked by its content
    return section in ("vocab", "model") or name in FROZEN_IN_TRAINING


def setting_names() -> list[str]:
    """All settings as `section.key`."""
    return [f"{section}.{key}" for section, settings in Config() for key in type(settings).model_fields]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such settings file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); a settings file is UTF-8 text") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; give a settings file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None


def _make_absolute(tables: dict[str, Any], folder: Path) -> None:
    for section, keys in PATH_KEYS.items():
        table = tables.get(section)
        if not isinstance(table, dict):
            continue
        for key in keys:
            if isinstance(value := table.get(key), str) and value:
                try:
                    table[key] = str((folder / Path(value).expanduser()).resolve())
                    table[key].encode()  # a name that is not UTF-8 could not be written to the run's config.toml
                except (ValueError, RuntimeError) as error:
                    raise UserError(f"{section}.{key} = {value!r}: not a usable path: {error}") from None


def _explain(mistake: Any, path: Path | None, sources: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in mistake["loc"])
    where = sources.get(name) or (str(path) if path else "command line")
    known = setting_names()
    if mistake["type"] == "extra_forbidden":
        return f"{where}: {name}: unknown setting; {_nearest(name, known)}"
    if mistake["type"] == "value_error":
        return f"{where}: [{name}] {mistake['ctx']['error']}"
    if mistake["type"] == "model_type":
        return f"{where}: {name}: this is a section; write [{name}] and its settings below"
    reason = mistake["msg"].replace("Input should be", "should be")
    return f"{where}: {name} = {json.dumps(mistake['input'], default=str)}: {reason[0].lower()}{reason[1:]}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the setting that was meant: alike in full, or in its key alone (right name, wrong section)."""
    known = list(known)
    keys = {full.partition(".")[2]: full for full in known}
    if key := difflib.get_close_matches(name.rpartition(".")[2], keys, n=1, cutoff=0.75):
        return f"did you mean {keys[key[0]]}?"
    if full := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {full[0]}?"
    sections = sorted({full.partition(".")[0] for full in known})
    return f"the sections are {', '.join(sections)}"
