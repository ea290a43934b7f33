"""The settings: typed, frozen, checked. This file is the only place for defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LARGEST = 2**31 - 1
Count = Annotated[int, Field(gt=0, le=LARGEST)]
Limit = Annotated[int, Field(ge=0, le=LARGEST)]
Width = Annotated[int, Field(gt=0, le=2**20)]
Share = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Penalty = Annotated[float, Field(ge=0, le=10)]
Ratio = Annotated[float, Field(gt=0, le=100)]
Layers = Annotated[int, Field(gt=0, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
FilterName = Literal[
    "identical",
    "duplicates",
    "length_ratio",
    "language",
    "script",
    "mojibake",
    "damaged",
    "control",
    "line_breaks",
    "invisible",
]


class Section(BaseModel):
    """A table of settings. Unknown names and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class DataSettings(Section):
    """Where the text is, and which of its pairs are used."""

    train_src: str = Field("", description="training text, source side: plain, .gz or .tsv")
    train_tgt: str = Field("", description="training text, target side")
    valid_src: str = Field("", description="validation text, source side; split off the training text when not given")
    valid_tgt: str = Field("", description="validation text, target side")
    train_align: str = Field("", description="word alignments of the training text (lines like 0-0 1-2; plain or .gz)")
    reverse: bool = Field(False, description="swap the sides of both texts: translate from target to source")
    src_column: Count = Field(1, description="column of the source side in a .tsv file, from 1")
    tgt_column: Count = Field(2, description="column of the target side in a .tsv file, from 1")
    valid_pairs: Count = Field(1000, description="pairs to split off for validation (a twentieth of the text at most)")
    max_pieces: Count = Field(256, description="longest side of a training pair; decoding splits longer inputs")
    filter: tuple[FilterName, ...] = Field(
        (), strict=False, description="doubtful pairs to leave out: see translate check"
    )
    max_length_ratio: Annotated[float, Field(ge=1)] = Field(
        3.0, description="for length_ratio in data.filter: largest ratio of the sides' lengths, relative to the median"
    )

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

    size: Annotated[int, Field(ge=8, le=2**24)] = Field(8000, description="pieces; lowered if the text has too few")
    model: str = Field("", description="an existing sentencepiece model to use instead of training one")
    joint: bool = Field(True, description="one vocabulary for both languages")
    algorithm: Literal["bpe", "unigram", "char"] = Field("bpe", description="char: one piece per character of the text")
    character_coverage: Annotated[float, Field(ge=0.98, le=1)] = Field(
        0.9995, description="share of the text's characters that get a piece; the others are spelled as bytes"
    )
    byte_fallback: bool = Field(True, description="spell unknown characters as bytes, so that no input is unknown")
    normalization: Literal["identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"] = Field(
        "nmt_nfkc", description="sentencepiece's normalization rule; _cf folds case"
    )
    dropout: Share = Field(0.0, description="BPE-dropout: share of merges left out, redrawn each epoch (bpe only)")

    @model_validator(mode="after")
    def _algorithm_allows(self) -> VocabSettings:
        if self.dropout and self.algorithm != "bpe" and not self.model:
            raise ValueError(
                f'dropout = {self.dropout}: leaves out merges, and algorithm "{self.algorithm}" has none; '
                'set dropout to 0.0 or algorithm to "bpe"'
            )
        if self.algorithm == "char" and self.size != VocabSettings.model_fields["size"].default:
            raise ValueError(
                f'size = {self.size}: not with algorithm "char", which has one piece per character of the text; '
                "leave size out, or lower character_coverage"
            )
        return self


class ModelSettings(Section):
    """The shape of the Transformer."""

    d_model: Width = Field(256, description="model width")
    d_ff: Width = Field(1024, description="inner width of the feed-forward layers")
    num_heads: Width = Field(4, description="attention heads per layer")
    num_encoder_layers: Layers = Field(3, description="encoder layers")
    num_decoder_layers: Layers = Field(3, description="decoder layers")
    dropout: Share = Field(0.1, description="on embeddings and sub-layer outputs")
    attention_dropout: Share = Field(0.0, description="on attention weights; above 0 without the CPU's fused kernel")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before or (Vaswani et al.) after a sub-layer")
    positions: Literal["sinusoidal", "rotary"] = Field(
        "sinusoidal",
        description="sinusoidal: added to the embeddings; rotary: rotate queries and keys of self-attention",
    )
    tie_embeddings: bool = Field(True, description="share one matrix between embeddings and output layer")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSettings:
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} does not divide by num_heads {self.num_heads}")
        if self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} is odd; sinusoidal positions come in pairs")
        if self.positions == "rotary" and self.d_model // self.num_heads % 2:
            raise ValueError(
                f"heads are {self.d_model // self.num_heads} wide (d_model / num_heads), which is odd; "
                "rotary positions turn pairs of dimensions"
            )
        return self


class TrainSettings(Section):
    """The optimization and its schedule. A limit of 0 is no limit."""

    init_from: str = Field("", description="a run to start from: its weights, its vocabulary and its shape")
    seed: Seed = Field(1, description="of the initial weights, the order of the pairs and dropout")
    batch_tokens: Count = Field(4096, description="target pieces per step and process, padding included")
    accumulate: Count = Field(1, description="micro-batches per step and process, to save memory")
    max_steps: Limit = Field(100_000, description="stop after this many steps")
    max_epochs: Limit = Field(0, description="stop after this many passes over the text")
    max_minutes: NonNegative = Field(0.0, description="stop after this much training time")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="peak learning rate")
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = Field(
        "inverse_sqrt",
        description="after the warm-up; cosine decays to 0 at max_steps, or if that is 0, at the number of steps that "
        "max_epochs or max_minutes allow; it is computed and written here when training begins",
    )
    decay_from: Share = Field(0.0, description="share of max_steps before cosine decays; 0: right after the warm-up")
    warmup_steps: Limit = Field(400, description="steps of linear warm-up to learning_rate")
    adam_beta2: Share = Field(0.98, description="Adam's beta2")
    weight_decay: NonNegative = Field(0.0, description="decoupled weight decay of the weight matrices (AdamW)")
    ema_decay: Share = Field(0.0, description="decay of the weights' exponential moving average; 0 disables it")
    clip_norm: NonNegative = Field(1.0, description="maximum gradient norm; 0 disables clipping")
    label_smoothing: Share = Field(0.1, description="share of the target distribution spread over all pieces")
    rdrop: NonNegative = Field(0.0, description="weight of R-Drop, which doubles time and memory of a step; 0: off")
    rdrop_from: Share = Field(0.0, description="share of max_steps before R-Drop begins")
    alignment_weight: NonNegative = Field(0.05, description="of the alignment loss, if data.train_align is given")
    alignment_layer: Annotated[int, Field(ge=-1, le=LARGEST)] = Field(
        -1, description="decoder layer of the guided head, from 0; -1: the last but one, or the last of two"
    )
    alignment_head: Limit = Field(0, description="cross-attention head that is guided, from 0")
    validate_every: Count = Field(500, description="steps between validations")
    validate_sentences: Limit = Field(1000, description="validation sentences translated for BLEU and chrF")
    snapshot_sentences: Limit = Field(3, description="validation sentences whose attention is kept in RUN/snapshots")
    best_by: Literal["valid_loss", "bleu", "chrf"] = Field("valid_loss", description="criterion for the best weights")
    patience: Limit = Field(10, description="stop after this many validations without improvement")
    save_every: Count = Field(500, description="steps between checkpoints")
    keep_checkpoints: Count = Field(2, description="newest checkpoints to keep")
    log_every: Count = Field(50, description="steps between lines of metrics.jsonl")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 if it is faster")
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile; auto: in long trainings on CUDA")

    @property
    def part_tokens(self) -> int:
        """Target pieces of one of the micro-batches of a step."""
        return self.batch_tokens // self.accumulate

    @property
    def is_open(self) -> bool:
        """Whether the number of steps, on which the learning rate depends, is not known yet."""
        return self.schedule == "cosine" and not self.max_steps

    @property
    def steps_before_decay(self) -> float:
        """Number of steps before "cosine" decays."""
        return max(self.warmup_steps, self.decay_from * self.max_steps)

    @property
    def steps_before_rdrop(self) -> float:
        """Number of steps before R-Drop begins, if `rdrop` is set."""
        return self.rdrop_from * self.max_steps

    @model_validator(mode="after")
    def _schedule_ends(self) -> TrainSettings:
        if self.schedule == "cosine" and 0 < self.max_steps <= self.warmup_steps:
            raise ValueError(f'schedule "cosine" has to end, at max_steps, after warmup_steps ({self.warmup_steps})')
        if self.schedule == "cosine" and not (self.max_steps or self.max_epochs or self.max_minutes):
            raise ValueError('schedule "cosine" needs an end: set max_steps, or max_epochs or max_minutes')
        if self.decay_from and self.schedule != "cosine":
            raise ValueError(
                f'decay_from {self.decay_from:g} is the start of the "cosine" decay, but schedule is "{self.schedule}"'
            )
        return self

    @model_validator(mode="after")
    def _rdrop_begins(self) -> TrainSettings:
        if self.rdrop_from and not self.rdrop:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} is the start of R-Drop, but rdrop, its weight, is 0")
        if self.rdrop_from and not self.max_steps and not self.is_open:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} is a share of train.max_steps, which is 0: set it")
        return self

    @model_validator(mode="after")
    def _weight_decay_is_small(self) -> TrainSettings:
        if (share := self.learning_rate * self.weight_decay) >= 1:
            raise ValueError(
                f"weight_decay {self.weight_decay:g} times learning_rate {self.learning_rate:g} is {share:g}: a step "
                "shrinks the weights by this share; it has to be below 1, and is usually below 0.001"
            )
        return self

    @model_validator(mode="after")
    def _values_go_together(self) -> TrainSettings:
        if self.best_by != "valid_loss" and not self.validate_sentences:
            raise ValueError(f'best_by "{self.best_by}" needs validate_sentences above 0')
        if self.accumulate > self.batch_tokens:
            raise ValueError(f"accumulate {self.accumulate} is more than batch_tokens {self.batch_tokens}")
        return self


class DecodeSettings(Section):
    """The search for a translation."""

    beam_size: Layers = Field(5, description="hypotheses kept per step; 1 is greedy")
    length_penalty: Penalty = Field(
        1.0, description="score = log-probability / pieces ** length_penalty; 0 favours short translations"
    )
    coverage_penalty: Penalty = Field(0.0, description="penalty for source pieces with less than 1 attention in total")
    no_repeat_ngram: Annotated[int, Field(ge=0, le=100)] = Field(0, description="pieces of n-grams that may not recur")
    min_length: Limit = Field(0, description="minimum pieces of a translation")
    max_length: Limit = Field(0, description="maximum pieces of a translation; 0: only max_length_ratio limits it")
    max_length_ratio: Ratio = Field(2.0, description="maximum pieces of a translation per source piece, plus 10")
    sample: bool = Field(False, description="sample translations instead of searching for the best")
    temperature: Ratio = Field(1.0, description="of sampling: below 1 favours probable pieces, above 1 improbable ones")
    top_k: Limit = Field(0, description="of sampling: draw from this many of the most probable pieces; 0: from all")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="of sampling: draw from the fewest pieces that together have this probability"
    )
    seed: Seed = Field(1, description="of sampling")
    batch_tokens: Count = Field(4096, description="source pieces translated together, padding included")


class Config(Section):
    """All settings of a run."""

    data: DataSettings = DataSettings()
    vocab: VocabSettings = VocabSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    decode: DecodeSettings = DecodeSettings()

    @model_validator(mode="after")
    def _guided_head_exists(self) -> Config:
        train, num_layers, num_heads = self.train, self.model.num_decoder_layers, self.model.num_heads
        if train.alignment_layer >= num_layers:
            raise ValueError(
                f"train.alignment_layer = {train.alignment_layer}: the decoder has {_numbered(num_layers, 'layer')}"
            )
        if train.alignment_head >= num_heads:
            raise ValueError(
                f"train.alignment_head = {train.alignment_head}: a layer has {_numbered(num_heads, 'head')}"
            )
        return self

    @model_validator(mode="after")
    def _passes_differ(self) -> Config:
        if self.train.rdrop and not (self.model.dropout or self.model.attention_dropout):
            raise ValueError(
                f"train.rdrop = {self.train.rdrop:g}: without dropout its two passes do not differ; raise model.dropout"
            )
        return self

    @model_validator(mode="after")
    def _guidance_is_possible(self) -> Config:
        weight, is_given = self.train.alignment_weight, bool(self.data.train_align)
        if is_given and not self.data.train_src:
            raise ValueError("data.train_align is set but data.train_src is not; alignments belong to a text")
        if weight and not is_given and weight != TrainSettings().alignment_weight:
            raise ValueError(
                f"train.alignment_weight = {weight}: no alignment to guide attention; "
                "name a file of word alignments in data.train_align"
            )
        if weight and is_given and self.train.compile == "on":
            raise ValueError('train.compile = "on": not possible with data.train_align; set it to "auto" or "off"')
        return self


def _numbered(count: int, name: str) -> str:
    """Say how many there are, and their numbers."""
    return f"{count} {name}s, 0 to {count - 1}" if count > 1 else f"1 {name}, 0"
