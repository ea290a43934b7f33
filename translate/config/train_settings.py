"""Define the settings of training: the length of a run, the optimizer and its schedule, regularization, validation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from translate.config.limits import LARGEST, Count, Limit, Minutes, Section, Seed, Share, Weight


class TrainSettings(Section):
    """Optimization, schedule, validation and checkpoints. Set a limit to 0 to disable it."""

    init_from: str = Field("", description="run from which to inherit weights, vocabulary and architecture")
    seed: Seed = Field(1, description="random seed for the initial weights, the order of the pairs and dropout")
    batch_tokens: Count = Field(4096, description="target pieces per step and process, including padding")
    accumulate: Count = Field(1, description="micro-batches per step and process; larger values save memory")
    max_steps: Limit = Field(100_000, description="stop after this many steps")
    max_epochs: Limit = Field(0, description="stop after this many epochs")
    max_minutes: Minutes = Field(
        0.0, description="stop after this many minutes (at least 0.000001), excluding validation"
    )
    learning_rate: Annotated[float, Field(ge=1e-12, le=1)] = Field(1e-3, description="peak learning rate")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="muon: Muon for the weight matrices of the layers, AdamW for all other weights"
    )
    muon_learning_rate: Annotated[float, Field(ge=1e-12, le=1)] = Field(
        0.01, description="peak learning rate of Muon, which follows the schedule of learning_rate"
    )
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = Field(
        "inverse_sqrt",
        description="schedule after the warm-up; cosine decays to 0 at max_steps (if max_steps is 0, at the end that "
        "max_epochs or max_minutes give; with max_minutes, the learning rate follows the time left)",
    )
    decay_from: Share = Field(0.0, description="fraction of the steps at which cosine decay starts; 0: after warm-up")
    warmup_steps: Limit = Field(400, description="number of linear warm-up steps from 0 to learning_rate")
    adam_beta2: Share = Field(0.98, description="Adam's beta2")
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = Field(
        0.0, description="decoupled weight decay of the weight matrices (AdamW)"
    )
    ema_decay: Share = Field(0.0, description="decay of the weights' exponential moving average; 0 disables it")
    clip_norm: Annotated[float, Field(ge=0, le=1e6)] = Field(
        1.0, description="maximum gradient norm; 0 disables clipping"
    )
    label_smoothing: Share = Field(0.1, description="target probability mass to spread evenly over all pieces")
    rdrop: Weight = Field(0.0, description="R-Drop weight (doubles time and memory per step); 0 disables it")
    rdrop_from: Share = Field(0.0, description="fraction of the steps after which R-Drop starts")
    recombine: Share = Field(
        0.0, description="for small texts: probability that a pair takes phrases of others; redrawn each epoch"
    )
    alignment_weight: Weight = Field(0.05, description="weight of the alignment loss if data.train_align is set")
    alignment_layer: Annotated[int, Field(ge=-1, le=LARGEST)] = Field(
        -1, description="decoder layer of the guided head, from 0; -1: second to last (last if there are only two)"
    )
    alignment_head: Limit = Field(0, description="number of the cross-attention head to guide, starting at 0")
    validate_every: Limit = Field(
        0, description="steps between validations; 0: chosen for a learning curve of 8 points or more"
    )
    validate_sentences: Limit = Field(1000, description="number of validation sentences to translate for BLEU and chrF")
    snapshot_sentences: Limit = Field(3, description="validation sentences whose attention is saved in RUN/snapshots")
    best_by: Literal["valid_loss", "bleu", "chrf"] = Field("valid_loss", description="criterion for the best weights")
    patience: Limit = Field(10, description="stop after this many validations without improvement")
    save_every: Count = Field(500, description="steps between checkpoints")
    keep_checkpoints: Count = Field(2, description="number of most recent checkpoints to keep")
    log_every: Count = Field(50, description="steps between entries in metrics.jsonl")
    tensorboard: bool = Field(
        False, description="also write the figures of metrics.jsonl as TensorBoard events, to RUN/tensorboard"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 if it is faster")
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="on: torch.compile; auto: on CUDA, the fastest of CUDA graphs, compiled graphs and neither; "
        "off: neither",
    )

    @property
    def part_tokens(self) -> int:
        """Number of target pieces per micro-batch."""
        return self.batch_tokens // self.accumulate

    @property
    def is_open(self) -> bool:
        """Whether the learning rate depends on a total number of steps that is not yet known."""
        return self.schedule == "cosine" and not self.max_steps

    @property
    def is_timed(self) -> bool:
        """Whether the schedule follows the time left, because train.max_minutes may end the training."""
        return self.is_open and self.max_minutes > 0

    @property
    def steps_before_decay(self) -> float:
        """Position in the schedule, in steps, at which the cosine decay starts."""
        return max(self.warmup_steps, self.decay_from * self.max_steps)

    @property
    def steps_before_rdrop(self) -> float:
        """Position in the schedule, in steps, after which R-Drop starts if `rdrop` is set."""
        return self.rdrop_from * self.max_steps

    @model_validator(mode="after")
    def _schedule_is_possible(self) -> TrainSettings:
        if self.schedule == "cosine" and 0 < self.max_steps <= self.warmup_steps:
            raise ValueError(f'schedule "cosine" needs max_steps to exceed warmup_steps ({self.warmup_steps})')
        if self.schedule == "cosine" and not (self.max_steps or self.max_epochs or self.max_minutes):
            raise ValueError('schedule "cosine" needs a limit; set max_steps, max_epochs or max_minutes')
        if self.decay_from and self.schedule != "cosine":
            raise ValueError(f'decay_from {self.decay_from:g} needs schedule "cosine", not "{self.schedule}"')
        if self.rdrop_from and not self.rdrop:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} is set, but R-Drop is off; set rdrop above 0")
        if self.rdrop_from and not self.max_steps and not self.is_open:
            raise ValueError(f"rdrop_from {self.rdrop_from:g} is a fraction of max_steps, which is 0; set max_steps")
        return self

    @model_validator(mode="after")
    def _values_are_consistent(self) -> TrainSettings:
        rate = "muon_learning_rate" if self.optimizer == "muon" else "learning_rate"
        if (share := getattr(self, rate) * self.weight_decay) >= 1:
            raise ValueError(
                f"weight_decay {self.weight_decay:g} times {rate} {getattr(self, rate):g} is {share:g}: "
                "each step shrinks the weights by this fraction, which must be below 1 and is usually below 0.001"
            )
        if self.best_by != "valid_loss" and not self.validate_sentences:
            raise ValueError(f'best_by "{self.best_by}" needs validate_sentences to be above 0')
        if self.accumulate > self.batch_tokens:
            raise ValueError(f"accumulate {self.accumulate} exceeds batch_tokens {self.batch_tokens}")
        return self
