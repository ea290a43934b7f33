"""Define all settings with their types, limits and defaults. Defaults are defined nowhere else.

The settings of the model and of training have files of their own, model_settings.py and train_settings.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from translate.config.files import TWO_SIDED, names_of, with_both_sides
from translate.config.languages import with_languages_of_files
from translate.config.limits import (
    MAX_BEAM,
    Column,
    Count,
    Files,
    FilterName,
    Header,
    LanguageCode,
    Limit,
    NgramLength,
    Ratio,
    Rule,
    Section,
    Seed,
    Share,
)
from translate.config.model_settings import ModelSettings
from translate.config.train_settings import TrainSettings

DEFAULT_COVERAGE, MIN_COVERAGE = 0.9995, 0.98  # fractions of the text, of vocab.character_coverage


class DataSettings(Section):
    """Training and validation texts, and the sentence pairs to use from them."""

    train_src: Files = Field("", description="source side of the training text; may be a list of files")
    train_tgt: Files = Field("", description="target side of the training text; not needed if train_src holds both")
    valid_src: Files = Field("", description="source validation text; if empty, part of the training text is used")
    valid_tgt: Files = Field("", description="target side of the validation text")
    train_align: str = Field(
        "", description="word alignments of the training text (lines like 0-0 1-2), plain or compressed"
    )
    src_lang: LanguageCode = Field(
        "", description="language of train_src, such as en or zh-Hant; if empty, the file's ending"
    )
    tgt_lang: LanguageCode = Field("", description="language of train_tgt")
    reverse: bool = Field(False, description="swap source and target of all texts to train the opposite direction")
    src_column: Column = Field(
        1, description="column of the source in files that hold both sides: its number from 1, its name, or a language"
    )
    tgt_column: Column = Field(2, description="column of the target")
    header: Header = Field(
        "auto", description="whether row 1 of a table names the columns; auto: if its cells are plainly names"
    )
    valid_pairs: Count = Field(
        1000, description="number of pairs to split off for validation: at most 5%, none of 200 or fewer"
    )
    max_pieces: Count = Field(256, description="maximum pieces per side; longer pairs are skipped, longer inputs split")
    filter: tuple[FilterName, ...] = Field(
        (), strict=False, description="kinds of doubtful pairs to exclude from training; see `translate check`"
    )
    max_length_ratio: Annotated[float, Field(ge=1, le=1000)] = Field(
        3.0, description="for the length_ratio filter: maximum ratio of the sides' lengths, relative to the median"
    )

    @property
    def languages(self) -> tuple[str, str]:
        """The codes of the languages that the run translates from and to; "" for each that is unknown."""
        return (self.tgt_lang, self.src_lang) if self.reverse else (self.src_lang, self.tgt_lang)

    @model_validator(mode="before")
    @classmethod
    def _languages_of_files(cls, values: Any) -> Any:
        """Take each language that is not given from the ending of its file, also in runs written before.

        The sides of a file with both are in that file.
        """
        return with_languages_of_files(with_both_sides(values)) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _both_sides(self) -> DataSettings:
        for part in "train", "valid":
            for present, missing in (f"{part}_src", f"{part}_tgt"), (f"{part}_tgt", f"{part}_src"):
                if getattr(self, present) and not getattr(self, missing):
                    raise ValueError(
                        f"{present} is set but {missing} is not; set both, or set {part}_src to {TWO_SIDED}"
                    )
            counts = [len(names_of(getattr(self, f"{part}_{side}"))) for side in ("src", "tgt")]
            if counts[0] != counts[1]:
                reason = f"{part}_src has {counts[0]} files but {part}_tgt has {counts[1]}"
                raise ValueError(f"{reason}; file n of one must translate file n of the other")
        return self


class VocabSettings(Section):
    """Segmentation of text into pieces (subword tokens) with sentencepiece."""

    size: Annotated[int, Field(ge=8, le=2**24)] = Field(8000, description="number of pieces; reduced for small texts")
    model: str = Field("", description="existing sentencepiece model to use instead of training one")
    joint: bool = Field(True, description="share one vocabulary between the two languages")
    algorithm: Literal["bpe", "unigram", "char"] = Field(
        "bpe", description="segmentation algorithm; char: one piece per character"
    )
    character_coverage: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="fraction of the text to cover with single-character pieces, from 0.98; other characters become "
        "bytes; 0: 0.9995, plus all letters and digits unless these are many",
    )
    byte_fallback: bool = Field(True, description="encode unknown characters as bytes instead of the unknown token")
    normalization: Rule = Field(
        "nfc",
        description="characters that count as the same; nfc: only those that look the same; the others are "
        "sentencepiece's rules, which also rewrite visible characters of translations; _cf: fold case, too",
    )
    dropout: Share = Field(0.0, description="BPE-dropout (bpe): probability of skipping a merge; redrawn each epoch")

    @property
    def coverage(self) -> float:
        """Fraction of the text to cover with single-character pieces, apart from rare letters."""
        return self.character_coverage or DEFAULT_COVERAGE

    @model_validator(mode="after")
    def _coverage_is_high(self) -> VocabSettings:
        if 0 < self.character_coverage < MIN_COVERAGE:
            given = f"character_coverage = {self.character_coverage:g}"
            raise ValueError(f"{given}: should be 0, or from {MIN_COVERAGE} to 1")
        return self

    @model_validator(mode="after")
    def _algorithm_allows(self) -> VocabSettings:
        if self.dropout and self.algorithm != "bpe" and not self.model:
            raise ValueError(
                f'dropout = {self.dropout}: BPE-dropout skips merges, but algorithm "{self.algorithm}" has none; '
                'set dropout to 0.0 or algorithm to "bpe"'
            )
        if self.algorithm == "char" and self.size != VocabSettings.model_fields["size"].default:
            raise ValueError(
                f'size = {self.size}: cannot be set with algorithm "char", which has one piece per character; '
                "remove size, or lower character_coverage for fewer pieces"
            )
        return self


class DecodeSettings(Section):
    """Decoding by beam search or sampling."""

    beam_size: Annotated[int, Field(ge=1, le=MAX_BEAM)] = Field(
        5, description="number of hypotheses kept per step; 1: greedy search"
    )
    length_penalty: Annotated[float, Field(ge=0, le=5)] = Field(
        1.0, description="score = log-probability / pieces ** length_penalty; lower values give shorter output"
    )
    coverage_penalty: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0, description="penalty for source pieces whose total attention is below 1"
    )
    no_repeat_ngram: NgramLength = Field(0, description="n-grams of this length are not repeated; 0 allows repetition")
    min_length: Annotated[int, Field(ge=0, le=1000)] = Field(0, description="minimum number of pieces per translation")
    max_length: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="maximum number of pieces per translation, without </s>; 0: max_length_ratio only"
    )
    max_length_ratio: Ratio = Field(2.0, description="maximum target pieces per source piece (plus 10 extra pieces)")
    sample: bool = Field(False, description="sample translations instead of searching for the best one")
    temperature: Ratio = Field(1.0, description="sampling temperature; values below 1 sharpen the distribution")
    top_k: Limit = Field(0, description="when sampling, consider only this many top pieces; 0: all pieces")
    top_p: Annotated[float, Field(ge=1e-6, le=1)] = Field(
        1.0, description="when sampling, consider only the smallest set of pieces with at least this total probability"
    )
    seed: Seed = Field(1, description="random seed for sampling")
    batch_tokens: Count = Field(4096, description="source pieces per batch, including padding")

    @model_validator(mode="after")
    def _lengths_agree(self) -> DecodeSettings:
        if 0 < self.max_length < self.min_length:
            raise ValueError(f"min_length {self.min_length} exceeds max_length {self.max_length}; change one")
        return self


class Config(Section):
    """All settings of a run."""

    data: DataSettings = DataSettings()
    vocab: VocabSettings = VocabSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    decode: DecodeSettings = DecodeSettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        train, (num_layers, num_heads) = self.train, self.model.cross_shape
        if self.data.train_align and not num_layers:
            raise ValueError('data.train_align: model.attention = "none" has no attention to guide; remove one of them')
        if (layer := train.alignment_layer) >= max(1, num_layers):
            raise ValueError(f"train.alignment_layer = {layer}: the last layer is {num_layers - 1}")
        if (head := train.alignment_head) >= max(1, num_heads):
            raise ValueError(f"train.alignment_head = {head}: the last head is {num_heads - 1}")
        if train.compile == "on" and not self.model.is_compilable:
            raise ValueError(
                'train.compile = "on": cannot be used with model.architecture = "recurrent"; set it to "off"'
            )
        if train.rdrop and not (self.model.dropout or self.model.attention_dropout):
            raise ValueError(f"train.rdrop = {train.rdrop:g}: R-Drop has no effect without dropout; set model.dropout")
        for name, value in ("vocab.dropout", self.vocab.dropout), ("data.train_align", self.data.train_align):
            if train.recombine and value:
                raise ValueError(f"train.recombine = {train.recombine:g}: cannot be used with {name}; remove one")
        weight, is_aligned = train.alignment_weight, bool(self.data.train_align)
        if is_aligned and not self.data.train_src:
            raise ValueError("data.train_align is set but data.train_src is not; set both")
        if weight and not is_aligned and weight != TrainSettings().alignment_weight:
            raise ValueError(
                f"train.alignment_weight = {weight}: there are no alignments to guide attention; "
                "set data.train_align to a word alignment file"
            )
        if weight and is_aligned and train.compile == "on":
            raise ValueError('train.compile = "on": cannot be used with data.train_align; set it to "auto" or "off"')
        return self
