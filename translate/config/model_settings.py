"""Define the settings of the model: which architecture, and its shape."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from translate.config.limits import Layers, Section, Share, Width

Architecture = Literal["transformer", "recurrent", "decoder-only"]
USERS: dict[str, tuple[Architecture, ...]] = {  # architectures that use a setting; all of them use the others
    "d_ff": ("transformer", "decoder-only"),
    "num_heads": ("transformer", "decoder-only"),
    "num_encoder_layers": ("transformer", "recurrent"),
    "attention_dropout": ("transformer", "decoder-only"),
    "norm": ("transformer", "decoder-only"),
    "positions": ("transformer", "decoder-only"),
    "attention": ("recurrent",),
    "cell": ("recurrent",),
    "source_attention": ("decoder-only",),
}


def uses(architecture: Architecture, name: str) -> bool:
    """Return whether models of this architecture use the setting model.NAME."""
    return architecture in USERS.get(name, (architecture,))


class CrossShape(NamedTuple):
    """Number of maps in which the target attends to the source."""

    num_layers: int
    num_heads: int


class ModelSettings(Section):
    """Architecture and shape of the model."""

    architecture: Architecture = Field(
        "transformer",
        description="encoder-decoder Transformer, recurrent encoder-decoder, or decoder-only Transformer, which reads "
        "source and target as one sequence",
    )
    d_model: Width = Field(256, description="model width: size of the embeddings and hidden states")
    d_ff: Width = Field(1024, description="inner width of the feed-forward layers")
    num_heads: Width = Field(4, description="number of attention heads per layer")
    num_encoder_layers: Layers = Field(3, description="number of encoder layers")
    num_decoder_layers: Layers = Field(3, description="number of decoder layers; decoder-only: of all layers")
    dropout: Share = Field(0.1, description="dropout rate for embeddings and sub-layer outputs")
    attention_dropout: Share = Field(0.0, description="dropout rate for attention weights; slows attention on CPUs")
    norm: Literal["pre", "post"] = Field("pre", description="layer norm before (pre) or after (post) each sub-layer")
    positions: Literal["sinusoidal", "rotary"] = Field(
        "sinusoidal", description="position encoding: added to the embeddings, or rotary (rotates queries and keys)"
    )
    tie_embeddings: bool = Field(True, description="share one matrix between the embeddings and the output layer")
    attention: Literal["additive", "general", "dot", "none"] = Field(
        "additive",
        description="recurrent: how the decoder scores source pieces; none: it sees only the encoder's last state",
    )
    cell: Literal["gru", "lstm"] = Field("gru", description="recurrent: type of the cells")
    source_attention: Literal["bidirectional", "causal"] = Field(
        "bidirectional", description="decoder-only: source pieces attend to the whole source, or only backward"
    )

    @property
    def has_heads(self) -> bool:
        """Whether the model is made of layers with several attention heads."""
        return uses(self.architecture, "num_heads")

    @property
    def variant(self) -> dict[str, str]:
        """The settings that only this architecture has, such as the recurrent model's cell."""
        return {name: getattr(self, name) for name, users in USERS.items() if users == (self.architecture,)}

    @property
    def is_compilable(self) -> bool:
        """Whether to compile the model, which for a recurrent one would compile its loop for each length."""
        return self.architecture != "recurrent"

    @property
    def cross_shape(self) -> CrossShape:
        """The number of layers and heads in which the target attends to the source; zeros without attention."""
        if self.has_heads:
            return CrossShape(self.num_decoder_layers, self.num_heads)
        return CrossShape(0, 0) if self.attention == "none" else CrossShape(1, 1)

    @model_validator(mode="after")
    def _every_setting_is_used(self) -> ModelSettings:
        for name, field in ModelSettings.model_fields.items():
            value = getattr(self, name)
            if not uses(self.architecture, name) and value != field.default:
                shown = f'"{value}"' if isinstance(value, str) else value
                raise ValueError(f'{name} = {shown}: has no effect with architecture "{self.architecture}"; remove it')
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelSettings:
        if self.has_heads and self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} is not divisible by num_heads {self.num_heads}")
        if self.d_model % 2:
            reason = "sinusoidal positions need" if self.has_heads else "the two directions of the encoder need"
            raise ValueError(f"d_model {self.d_model} is odd; {reason} an even width")
        if self.positions == "rotary" and self.d_model // self.num_heads % 2:
            width = self.d_model // self.num_heads
            raise ValueError(f"head width {width} (d_model / num_heads) is odd; rotary positions need an even width")
        return self
