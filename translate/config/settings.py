"""The settings: typed, frozen, checked. Each default stands here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LARGEST = 2**31 - 1
Count = Annotated[int, Field(gt=0, le=LARGEST)]
Limit = Annotated[int, Field(ge=0, le=LARGEST)]
Width = Annotated[int, Field(gt=0, le=2**20)]
Share = Annotated[float, Field(ge=0, lt=1)]
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
    """Where the text is and which pairs of it are used."""

    train_src: str = Field("", description="training text, source side: plain, .gz or .tsv")
    train_tgt: str = Field("", description="training text, target side")
    valid_src: str = Field("", description="validation text, source side; split off the training text when not given")
    valid_tgt: str = Field("", description="validation text, target side")
    train_align: str = Field(
        "", description="word alignments of the training text, plain or .gz, to guide attention: 0-0 1-2 a line"
    )
    reverse: bool = Field(False, description="exchange the sides of both texts: translate from target to source")
    src_column: Count = Field(1, description="column of the source side in a .tsv file, from 1")
    tgt_column: Count = Field(2, description="column of the target side in a .tsv file, from 1")
    valid_pairs: Count = Field(1000, description="pairs to split off for validation (a twentieth of the text at most)")
    max_pieces: Count = Field(256, description="longest side of a training pair; longer inputs are cut when decoding")
    filter: tuple[FilterName, ...] = Field(
        (), strict=False, description="doubtful pairs that training leaves out; `translate check` tells which there are"
    )
    max_length_ratio: Annotated[float, Field(ge=1)] = Field(
        3.0, description="with length_ratio in data.filter: how many times as long as usual a side may be, by the other"
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

    size: Annotated[int, Field(ge=8, le=2**24)] = Field(
        8000, description="pieces; lowered where the text has too few; not used by algorithm char"
    )
    model: str = Field("", description="an existing sentencepiece model to use instead of training one")
    joint: bool = Field(True, description="one vocabulary for both languages")
    algorithm: Literal["bpe", "unigram", "char"] = Field(
        "bpe", description="bpe, unigram, or char: a piece for each of the text's characters"
    )
    character_coverage: Annotated[float, Field(ge=0.98, le=1)] = Field(
        0.9995, description="share of the text's characters that get a piece; the others are spelled in bytes"
    )
    byte_fallback: bool = Field(True, description="spell unknown characters in bytes, so that no input is unknown")
    normalization: Literal["identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"] = Field(
        "nmt_nfkc", description="sentencepiece's rule for equivalent characters; _cf folds case"
    )
    dropout: Share = Field(
        0.0, description="share of the merges left out at random in the training text, anew each epoch (bpe only)"
    )

    @model_validator(mode="after")
    def _dropout_has_merges(self) -> VocabSettings:
        if self.dropout and self.algorithm != "bpe" and not self.model:
            raise ValueError(
                f'dropout = {self.dropout}: leaves out merges, and algorithm "{self.algorithm}" has none; '
                'set dropout to 0.0 or algorithm to "bpe"'
            )
        return self

    @model_validator(mode="after")
    def _characters_are_as_many_as_there_are(self) -> VocabSettings:
        if self.algorithm == "char" and self.size != VocabSettings.model_fields["size"].default:
            raise ValueError(
                f'size = {self.size}: not with algorithm "char", which has a piece for each of the text\'s characters; '
                "leave size out, or lower character_coverage"
            )
        return self


class ModelSettings(Section):
    """The shape of the Transformer."""

    d_model: Width = Field(256, description="width")
    d_ff: Width = Field(1024, description="inner width of the feed-forward layers")
    num_heads: Width = Field(4, description="attention heads a layer")
    num_encoder_layers: Annotated[int, Field(gt=0, le=1000)] = Field(3, description="layers")
    num_decoder_layers: Annotated[int, Field(gt=0, le=1000)] = Field(3, description="layers")
    dropout: Share = Field(0.1, description="on embeddings and sub-layer outputs")
    attention_dropout: Share = Field(0.0, description="on attention weights; above 0 the CPU's fused kernel is lost")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before each sub-layer, or after (the paper)")
    positions: Literal["sinusoidal", "rotary"] = Field(
        "sinusoidal", description="added to the embeddings, or turning queries and keys of self-attention"
    )
    tie_embeddings: bool = Field(True, description="one matrix for the embeddings and the output layer")

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
    """The optimization and its rhythm. A limit of 0 is no limit."""

    init_from: str = Field("", description="a run whose weights to begin with, and whose vocabulary and shape to keep")
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
        "inverse_sqrt",
        description="after the warm-up; cosine falls to 0 at the end: max_steps, or if that is 0, where max_epochs or "
        "max_minutes lead to; the steps are then counted, and written here, when training begins",
    )
    decay_from: Share = Field(0.0, description="share of max_steps before cosine falls; 0: from the warm-up on")
    warmup_steps: Limit = Field(400, description="steps of linear rise to learning_rate")
    adam_beta2: Share = Field(0.98, description="Adam's memory of squared gradients")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.0, description="each step takes learning_rate times this of the layers' matrices away (AdamW)"
    )
    ema_decay: Share = Field(0.0, description="above 0: use the weights' mean of about 1 / (1 - ema_decay) steps")
    clip_norm: Annotated[float, Field(ge=0)] = Field(1.0, description="longest gradient; 0 does not clip")
    label_smoothing: Share = Field(0.1, description="share of the target spread over all pieces")
    rdrop: Annotated[float, Field(ge=0)] = Field(
        0.0, description="above 0: R-Drop of this weight; each step twice with other dropout, to the same result"
    )
    rdrop_from: Share = Field(
        0.0, description="share of max_steps before R-Drop begins; until then a step takes half the time and memory"
    )
    alignment_weight: Annotated[float, Field(ge=0)] = Field(
        0.05, description="of the alignment loss beside the translation loss, where data.train_align is given"
    )
    alignment_layer: Annotated[int, Field(ge=-1, le=LARGEST)] = Field(
        -1, description="decoder layer, from 0, of the guided head; -1 is the last but one, of one or two the last"
    )
    alignment_head: Limit = Field(0, description="head, from 0, of encoder-decoder attention that is guided")
    validate_every: Count = Field(500, description="steps between validations")
    validate_sentences: Limit = Field(1000, description="validation sentences translated for BLEU and chrF")
    snapshot_sentences: Limit = Field(
        3, description="validation sentences whose attention is recorded at each validation (RUN/snapshots)"
    )
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

    @property
    def is_open(self) -> bool:
        """Whether the steps, of which the learning rate is a function, are still to be counted."""
        return self.schedule == "cosine" and not self.max_steps

    @property
    def steps_before_decay(self) -> float:
        """After so many steps "cosine" falls."""
        return max(self.warmup_steps, self.decay_from * self.max_steps)

    @property
    def steps_before_rdrop(self) -> float:
        """After so many steps each step is made with R-Drop, if `rdrop` is set; 0 where it is not."""
        return self.rdrop_from * self.max_steps

    @model_validator(mode="after")
    def _schedule_ends(self) -> TrainSettings:
        if self.schedule == "cosine" and 0 < self.max_steps <= self.warmup_steps:
            raise ValueError(
                f'schedule "cosine" ends at max_steps, which has to be above warmup_steps ({self.warmup_steps}); '
                f"it is {self.max_steps}"
            )
        if self.schedule == "cosine" and not (self.max_steps or self.max_epochs or self.max_minutes):
            raise ValueError('schedule "cosine" needs an end: set max_steps, or max_epochs or max_minutes')
        if self.decay_from and self.schedule != "cosine":
            raise ValueError(
                f'decay_from {self.decay_from:g} says when "cosine" falls, but schedule is "{self.schedule}"'
            )
        if self.rdrop_from and not self.rdrop:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} says when R-Drop begins, but rdrop, its weight, is 0")
        if self.rdrop_from and not self.max_steps and not self.is_open:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} is a share of train.max_steps, which is 0: set it")
        if (share := self.learning_rate * self.weight_decay) >= 1:
            raise ValueError(
                f"weight_decay {self.weight_decay:g} times learning_rate {self.learning_rate:g} is {share:g}: a step "
                "takes this share of the layers' matrices away; it has to be below 1, and is usually below 0.001"
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
    coverage_penalty: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0, description="above 0: score falls for source pieces with less than 1 attention in all"
    )
    no_repeat_ngram: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="above 0: no run of so many pieces comes twice in a translation"
    )
    min_length: Limit = Field(0, description="fewest pieces of a translation")
    max_length: Limit = Field(0, description="most pieces of a translation; 0 leaves it to max_length_ratio")
    max_length_ratio: Annotated[float, Field(gt=0, le=100)] = Field(
        2.0, description="longest translation: so many pieces a source piece, and 10"
    )
    sample: bool = Field(False, description="draw translations at random instead of searching for the best")
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0, description="when sampling: below 1 favours likely pieces, above 1 unlikely ones"
    )
    top_k: Limit = Field(0, description="when sampling: draw from so many of the likeliest pieces; 0 from all")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="when sampling: draw from the fewest pieces that have so much of the probability together"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(1, description="of sampling")
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
                f"train.alignment_weight = {weight}: there is nothing to guide attention by; "
                "name a file of word alignments in data.train_align"
            )
        if weight and is_given and self.train.compile == "on":
            raise ValueError('train.compile = "on": not possible with data.train_align; set it to "auto" or "off"')
        return self


def _numbered(count: int, name: str) -> str:
    """For a message: how many there are, and their numbers."""
    return f"{count} {name}s, 0 to {count - 1}" if count > 1 else f"1 {name}, 0"
