"""Padding of the keys of short sentences, so that training with them takes less time on a CPU.

Shapes: B sentences, H heads, S keys, D model width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from translate.model.kv_cache import KeyValue

VECTOR = 16  # numbers that the processor handles at once
MIN_KEYS = 12  # with fewer keys, padding takes as long as it saves


def padded_keys(kv: KeyValue, mask: Tensor | None) -> tuple[KeyValue, Tensor | None]:
    """Pad 12 to 15 keys to 16 masked ones where gradients are computed. Otherwise, return the arguments.

    PyTorch's softmax takes 16 scores at a time, but those of an incomplete 16 one by one: forward and backward,
    attention with 15 keys takes twice as long as with 16. mask: to be added to the scores, with -inf for masked keys.
    """
    num_keys = kv.keys.size(2)
    if mask is None or not mask.is_floating_point() or not MIN_KEYS <= num_keys < VECTOR:
        return kv, mask
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return kv, mask
    num_added = VECTOR - num_keys
    keys, values = (F.pad(each, (0, 0, 0, num_added)) for each in kv)
    return KeyValue(keys, values), F.pad(mask, (0, num_added), value=-math.inf)
