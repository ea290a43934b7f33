"""All settings with their types, limits and defaults. No other file defines defaults."""

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
NgramLength = Annotated[int, Field(ge=0, le=100)]
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
    """A table of settings. Unknown names and wrong types are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class DataSettings(Section):
    """The training and validation texts, and which of their pairs are used."""

    train_src: str = Field("", description="training text, source side: plain, .gz or .tsv")
    train_tgt: str = Field("", description="training text, target side")
    valid_src: str = Field("", description="validation text, source side; if empty, split off the training text")
    valid_tgt: str = Field("", description="validation text, target side")
    train_align: str = Field("", description="word alignments of the training text: lines like 0-0 1-2, plain or .gz")
    reverse: bool = Field(False, description="swap source and target in both texts, to train the opposite direction")
    src_column: Count = Field(1, description="column of the source side in a .tsv file, counted from 1")
    tgt_column: Count = Field(2, description="column of the target side in a .tsv file, counted from 1")
    valid_pairs: Count = Field(1000, description="pairs to split off for validation, at most 5 % of the text")
    max_pieces: Count = Field(256, description="maximum pieces per side; longer pairs are skipped, longer inputs split")
    filter: tuple[FilterName, ...] = Field(
        (), strict=False, description="kinds of doubtful pairs to leave out of training; translate check explains them"
    )
    max_length_ratio: Annotated[float, Field(ge=1)] = Field(
        3.0, description="filter length_ratio: maximum length ratio of the two sides, relative to the median ratio"
    )

    @model_validator(mode="after")
    def _both_sides(self) -> DataSettings:
        for part in "train", "valid":
            for present, missing in (f"{part}_src", f"{part}_tgt"), (f"{part}_tgt", f"{part}_src"):
                if getattr(self, present) and not getattr(self, missing):
                    raise ValueError(f"{present} is set but {missing} is not; give both sides")
        return self


class VocabSettings(Section):
    """How text is segmented into pieces (subword tokens) by sentencepiece."""

    size: Annotated[int, Field(ge=8, le=2**24)] = Field(8000, description="number of pieces; lowered for small texts")
    model: str = Field("", description="an existing sentencepiece model to use instead of training one")
    joint: bool = Field(True, description="share one vocabulary between both languages")
    algorithm: Literal["bpe", "unigram", "char"] = Field(
        "bpe", description="segmentation; char: one piece per character"
    )
    character_coverage: Annotated[float, Field(ge=0.98, le=1)] = Field(
        0.9995, description="share of the text covered by characters with their own piece; the others become bytes"
    )
    byte_fallback: bool = Field(True, description="encode unknown characters as byte pieces instead of as unknown")
    normalization: Literal["identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"] = Field(
        "nmt_nfkc", description="normalization rule of sentencepiece; the _cf variants also fold case"
    )
    dropout: Share = Field(0.0, description="BPE-dropout: probability of skipping a merge, drawn each epoch (bpe only)")

    @model_validator(mode="after")
    def _algorithm_allows(self) -> VocabSettings:
        if self.dropout and self.algorithm != "bpe" and not self.model:
            raise ValueError(
                f'dropout = {self.dropout}: BPE-dropout leaves out merges, but algorithm "{self.algorithm}" has none; '
                'set dropout to 0.0, or algorithm to "bpe"'
            )
        if self.algorithm == "char" and self.size != VocabSettings.model_fields["size"].default:
            raise ValueError(
                f'size = {self.size}: cannot be set with algorithm "char", which has one piece per character; '
                "remove size, or lower character_coverage"
            )
        return self


class ModelSettings(Section):
    """The architecture of the Transformer."""

    d_model: Width = Field(256, description="model width: size of embeddings and hidden states")
    d_ff: Width = Field(1024, description="inner width of the feed-forward layers")
    num_heads: Width = Field(4, description="attention heads per layer")
    num_encoder_layers: Layers = Field(3, description="number of encoder layers")
    num_decoder_layers: Layers = Field(3, description="number of decoder layers")
    dropout: Share = Field(0.1, description="dropout on embeddings and sub-layer outputs")
    attention_dropout: Share = Field(0.0, description="dropout on attention weights; slows attention on a CPU")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before (pre) or after (post) a sub-layer")
    positions: Literal["sinusoidal", "rotary"] = Field(
        "sinusoidal", description="positions: added to embeddings (sinusoidal) or rotating queries and keys (rotary)"
    )
    tie_embeddings: bool = Field(True, description="share one matrix between embeddings and output layer")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSettings:
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} is not divisible by num_heads {self.num_heads}")
        if self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} is odd; sinusoidal positions need pairs of dimensions")
        if self.positions == "rotary" and self.d_model // self.num_heads % 2:
            width = self.d_model // self.num_heads
            raise ValueError(
                f"head width {width} (d_model / num_heads) is odd; rotary positions need pairs of dimensions"
            )
        return self


class TrainSettings(Section):
    """Optimization, schedule, validation and checkpoints. A limit of 0 means no limit."""

    init_from: str = Field("", description="run whose weights, vocabulary and architecture are inherited")
    seed: Seed = Field(1, description="random seed of the initial weights, the order of the pairs and dropout")
    batch_tokens: Count = Field(4096, description="target pieces per step and process, padding included")
    accumulate: Count = Field(1, description="micro-batches per step and process; larger values save memory")
    max_steps: Limit = Field(100_000, description="stop after this many steps")
    max_epochs: Limit = Field(0, description="stop after this many epochs")
    max_minutes: NonNegative = Field(0.0, description="stop after this many minutes, not counting validation")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="peak learning rate")
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = Field(
        "inverse_sqrt",
        description="learning rate after the warm-up; cosine decays to 0 at max_steps (if that is 0, it is computed "
        "from max_epochs or max_minutes when training starts, and recorded in the run's config.toml)",
    )
    decay_from: Share = Field(0.0, description="fraction of max_steps after which cosine decays; 0: after the warm-up")
    warmup_steps: Limit = Field(400, description="steps of linear warm-up from 0 to learning_rate")
    adam_beta2: Share = Field(0.98, description="Adam's beta2")
    weight_decay: NonNegative = Field(0.0, description="decoupled weight decay of the weight matrices (AdamW)")
    ema_decay: Share = Field(0.0, description="decay of the weights' exponential moving average; 0 disables it")
    clip_norm: NonNegative = Field(1.0, description="maximum gradient norm; 0 disables clipping")
    label_smoothing: Share = Field(0.1, description="share of the target distribution spread over all pieces")
    rdrop: NonNegative = Field(0.0, description="weight of R-Drop, which doubles time and memory per step; 0: off")
    rdrop_from: Share = Field(0.0, description="fraction of max_steps after which R-Drop starts")
    alignment_weight: NonNegative = Field(0.05, description="weight of the alignment loss if data.train_align is set")
    alignment_layer: Annotated[int, Field(ge=-1, le=LARGEST)] = Field(
        -1, description="decoder layer of the guided head, counted from 0; -1: the second to last, or the last of two"
    )
    alignment_head: Limit = Field(0, description="cross-attention head to guide, counted from 0")
    validate_every: Count = Field(500, description="steps between validations")
    validate_sentences: Limit = Field(1000, description="validation sentences translated for BLEU and chrF")
    snapshot_sentences: Limit = Field(3, description="validation sentences whose attention is saved in RUN/snapshots")
    best_by: Literal["valid_loss", "bleu", "chrf"] = Field("valid_loss", description="criterion for the best weights")
    patience: Limit = Field(10, description="stop after this many validations without improvement")
    save_every: Count = Field(500, description="steps between checkpoints")
    keep_checkpoints: Count = Field(2, description="number of newest checkpoints to keep")
    log_every: Count = Field(50, description="steps between lines of metrics.jsonl")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 if it is faster")
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile; auto: for long training on CUDA")

    @property
    def part_tokens(self) -> int:
        """Target pieces per micro-batch."""
        return self.batch_tokens // self.accumulate

    @property
    def is_open(self) -> bool:
        """Whether the learning rate depends on a number of steps that is not known yet."""
        return self.schedule == "cosine" and not self.max_steps

    @property
    def steps_before_decay(self) -> float:
        """Number of steps before the cosine decay starts."""
        return max(self.warmup_steps, self.decay_from * self.max_steps)

    @property
    def steps_before_rdrop(self) -> float:
        """Number of steps before R-Drop starts if `rdrop` is set."""
        return self.rdrop_from * self.max_steps

    @model_validator(mode="after")
    def _schedule_is_possible(self) -> TrainSettings:
        if self.schedule == "cosine" and 0 < self.max_steps <= self.warmup_steps:
            raise ValueError(f'schedule "cosine" needs max_steps above warmup_steps ({self.warmup_steps})')
        if self.schedule == "cosine" and not (self.max_steps or self.max_epochs or self.max_minutes):
            raise ValueError('schedule "cosine" needs an end: set max_steps, max_epochs or max_minutes')
        if self.decay_from and self.schedule != "cosine":
            raise ValueError(f'decay_from {self.decay_from:g} needs schedule "cosine" instead of "{self.schedule}"')
        if self.rdrop_from and not self.rdrop:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} is set, but R-Drop is off; set rdrop above 0")
        if self.rdrop_from and not self.max_steps and not self.is_open:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} is a fraction of max_steps, which is 0; set max_steps")
        return self

    @model_validator(mode="after")
    def _values_are_consistent(self) -> TrainSettings:
        if (share := self.learning_rate * self.weight_decay) >= 1:
            raise ValueError(
                f"weight_decay {self.weight_decay:g} times learning_rate {self.learning_rate:g} is {share:g}: a step "
                "shrinks the weights by this fraction, which must be below 1 and is usually below 0.001"
            )
        if self.best_by != "valid_loss" and not self.validate_sentences:
            raise ValueError(f'best_by "{self.best_by}" needs validate_sentences above 0')
        if self.accumulate > self.batch_tokens:
            raise ValueError(f"accumulate {self.accumulate} is more than batch_tokens {self.batch_tokens}")
        return self


class DecodeSettings(Section):
    """How translations are searched for or sampled."""

    beam_size: Layers = Field(5, description="hypotheses kept per step; 1: greedy search")
    length_penalty: Penalty = Field(
        1.0, description="score = log-probability / pieces ** length_penalty; low values favour short translations"
    )
    coverage_penalty: Penalty = Field(0.0, description="penalty weight for source pieces with total attention below 1")
    no_repeat_ngram: NgramLength = Field(0, description="length of n-grams that may not be repeated; 0: off")
    min_length: Limit = Field(0, description="minimum pieces per translation")
    max_length: Limit = Field(0, description="maximum pieces per translation; 0: only max_length_ratio applies")
    max_length_ratio: Ratio = Field(2.0, description="maximum pieces per source piece (10 more are always allowed)")
    sample: bool = Field(False, description="sample translations instead of searching for the best")
    temperature: Ratio = Field(1.0, description="sampling temperature; values below 1 favour probable pieces")
    top_k: Limit = Field(0, description="sampling: draw from this many of the most probable pieces; 0: from all")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="sampling: draw from the fewest pieces whose total probability reaches this value"
    )
    seed: Seed = Field(1, description="random seed of sampling")
    batch_tokens: Count = Field(4096, description="source pieces per batch, padding included")


class Config(Section):
    """All settings of a run."""

    data: DataSettings = DataSettings()
    vocab: VocabSettings = VocabSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    decode: DecodeSettings = DecodeSettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        train, num_layers, num_heads = self.train, self.model.num_decoder_layers, self.model.num_heads
        if (layer := train.alignment_layer) >= num_layers:
            raise ValueError(f"train.alignment_layer = {layer}: the last decoder layer is {num_layers - 1}")
        if (head := train.alignment_head) >= num_heads:
            raise ValueError(f"train.alignment_head = {head}: the last head is {num_heads - 1}")
        if train.rdrop and not (self.model.dropout or self.model.attention_dropout):
            raise ValueError(
                f"train.rdrop = {train.rdrop:g}: R-Drop has no effect without dropout; raise model.dropout"
            )
        weight, is_aligned = train.alignment_weight, bool(self.data.train_align)
        if is_aligned and not self.data.train_src:
            raise ValueError("data.train_align is set but data.train_src is not; set both")
        if weight and not is_aligned and weight != TrainSettings().alignment_weight:
            raise ValueError(
                f"train.alignment_weight = {weight}: there are no alignments to guide attention; "
                "set data.train_align to a file of word alignments"
            )
        if weight and is_aligned and train.compile == "on":
            raise ValueError('train.compile = "on": cannot be used with data.train_align; set it to "auto" or "off"')
        return self
