"""Settings by the size of the text: a table, and smaller shapes for trainings that are too short for a text's own.

A small text needs a small model: a large one learns to give every line the same translation (Sennrich and Zhang 2019,
Araabi and Monz 2020, Wu et al. 2021). So does a short training: in the same minutes, a small model makes more steps
(Kaplan et al. 2020, "Scaling Laws for Neural Language Models"). docs/results.md reports the experiments that led to the
first four rows of SIZES and to FASTER; the rows for larger texts follow published models. So do the recurrent models:
for small texts Sennrich and Zhang 2019 (strong dropout) and Caglayan et al. 2017, "LIUM-CVC Submissions for WMT17
Multimodal Translation Task" (256 units on Multi30k, gradients clipped to a norm of 1, as is the default here), for
large texts Britz et al. 2017, "Massive Exploration of Neural Machine Translation Architectures" (wide layers, few of
them).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from translate.data.text_scan import MIN_SPLIT_PAIRS


class Shape(NamedTuple):
    """The shape of a Transformer, and how fast it trains."""

    layers: int  # in the encoder and also in the decoder
    d_model: int
    d_ff: int
    speed: int  # target pieces per second that two cores train on

    def num_parameters(self, vocab_size: int) -> int:
        """Return about how many parameters it has with a joint vocabulary."""
        return self.d_model * (vocab_size + self.layers * (12 * self.d_model + 4 * self.d_ff))


class Size(NamedTuple):
    """Settings for texts of up to `max_pairs` pairs."""

    max_pairs: float
    vocab: int  # maximum number of pieces in the joint vocabulary
    min_count: int  # minimum number of times that a piece occurs in the text
    shape: Shape
    dropout: float  # minimum
    label_smoothing: float
    rdrop: float
    recombine: float
    weight_decay: float
    batch_tokens: int
    learning_rate: float  # of AdamW, without Muon
    epochs: int
    best_by: str = "valid_loss"


# The first row is for texts that a model can only memorize: they are validated on themselves. With texts of the
# second row, the validation loss can rise for most of the training while translations improve.
SIZES = (
    Size(MIN_SPLIT_PAIRS - 1, 2000, 20, Shape(3, 128, 512, 9000), 0.1, 0.0, 0.0, 0.0, 0.0, 1024, 2.5e-3, 100),
    Size(10_000, 2000, 20, Shape(4, 128, 512, 9000), 0.0, 0.1, 0.0, 0.75, 0.2, 1024, 2.5e-3, 100, "chrf"),
    Size(60_000, 10_000, 8, Shape(4, 128, 384, 5000), 0.0, 0.1, 3.0, 0.0, 0.1, 4096, 3e-3, 60),
    Size(400_000, 10_000, 8, Shape(3, 256, 1024, 1900), 0.0, 0.1, 0.0, 0.0, 0.0, 4096, 2e-3, 25),
    Size(2_000_000, 16_000, 8, Shape(4, 256, 1024, 1100), 0.0, 0.1, 0.0, 0.0, 0.0, 8192, 1.5e-3, 10),
    Size(float("inf"), 32_000, 8, Shape(6, 512, 2048, 220), 0.1, 0.1, 0.0, 0.0, 0.0, 16_384, 7e-4, 10),
)
# Shapes for trainings that are too short for a slower one.
FASTER = Shape(3, 256, 1024, 1900), Shape(3, 192, 768, 3300), Shape(4, 128, 512, 5000), Shape(4, 96, 288, 7200)


class RecurrentSize(NamedTuple):
    """Settings that replace those of a `Size` if the model is recurrent. Its layers are wider and fewer."""

    layers: int
    d_model: int
    dropout: float
    learning_rate: float


RECURRENT_SIZES = (
    RecurrentSize(1, 192, 0.1, 2e-3),
    RecurrentSize(1, 192, 0.4, 2e-3),
    RecurrentSize(1, 256, 0.4, 2e-3),
    RecurrentSize(2, 512, 0.2, 1e-3),
    RecurrentSize(2, 512, 0.2, 1e-3),
    RecurrentSize(2, 1024, 0.2, 5e-4),
)


def size_for(num_pairs: int) -> Size:
    """Return the settings for a text."""
    return next(size for size in SIZES if num_pairs <= size.max_pairs)


def shapes_for(size: Size) -> Iterator[Shape]:
    """Yield the shape of a size, and the faster ones from the widest on."""
    yield size.shape
    yield from (shape for shape in FASTER if shape.speed > size.shape.speed)


def recurrent(size: Size) -> Size:
    """Return the settings for a recurrent model and the same texts."""
    layers, d_model, dropout, learning_rate = RECURRENT_SIZES[SIZES.index(size)]
    return size._replace(
        shape=size.shape._replace(layers=layers, d_model=d_model),
        dropout=dropout,
        learning_rate=learning_rate,
        rdrop=0.0,
        recombine=0.0,
        weight_decay=0.0,
    )


def decoder_only(shape: Shape) -> Shape:
    """Return the shape of a decoder-only model with about the parameters of a Transformer."""
    attention, feed_forward = 4 * shape.d_model**2, 2 * shape.d_model * shape.d_ff
    share = (2 * attention + feed_forward) / (attention + feed_forward)
    return shape._replace(layers=round(shape.layers * (1 + share)))
