"""Load a converted model on the device that was asked for."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from translate.ctranslate2 import PRECISIONS, import_ctranslate2, num_threads
from translate.ctranslate2.cached_model import ReadyModel
from translate.ctranslate2.fingerprint import read_origin
from translate.errors import UserError
from translate.system.distributed import local_rank

MAX_WORKERS = 4  # maximum batches in parallel on a CPU; additional threads share the work within each batch


class Device(NamedTuple):
    """Device and precision of the computation."""

    type: str  # cpu or cuda
    number: int  # index of the GPU
    num_threads: int
    precision: str


def pick_device(device: str, precision: str) -> Device:
    """Return the device. Raises UserError if it, or the precision on it, is not available."""
    package = import_ctranslate2()
    num_gpus = package.get_cuda_device_count()
    if device == "auto":
        device = "cuda" if num_gpus else "cpu"
    if device not in ("cpu", "cuda"):
        raise UserError(f"--device {device}: not supported by CTranslate2; use auto, cpu or cuda, or --engine torch")
    gpu = (local_rank() or 0) if device == "cuda" else 0
    if device == "cuda" and gpu >= num_gpus:
        raise UserError(f"--device cuda: not enough GPUs for CTranslate2 ({num_gpus} found); use --device cpu")
    available = [each for each in PRECISIONS if each in package.get_supported_compute_types(device)]
    if precision not in available:
        where = f"with CTranslate2 on {device.upper()}"
        raise UserError(f"--precision {precision}: not available {where}; choose {' or '.join(available)}")
    return Device(device, gpu, num_threads(), precision)


def num_workers(device: Device) -> int:
    """Return the number of batches that are translated in parallel."""
    # Two workers with one thread each took 10% less time than one worker with two threads.
    return min(device.num_threads, MAX_WORKERS) if device.type == "cpu" else 1


def origin_of(model: ReadyModel) -> list[str]:
    """Return the SHA-256 of the weights from which the model was converted, and of its own files."""
    origin = read_origin(model.path)
    return [origin.weights, origin.files]


def open_model(model: ReadyModel, device: Device, origin: list[str]) -> Any:
    """Open a model. Raises UserError if this fails, or if another process has replaced the model of this origin."""
    workers = num_workers(device)
    try:
        translator = import_ctranslate2().Translator(
            os.fsencode(model.path),  # CTranslate2 would encode a string as UTF-8, whatever the locale
            device=device.type,
            device_index=device.number,
            compute_type=device.precision,
            inter_threads=workers,
            intra_threads=device.num_threads // workers,
            max_queued_batches=-1,
        )
    except (RuntimeError, ValueError) as error:  # ValueError: an environment variable
        advice = "delete this folder to have the model converted again"
        raise UserError(f"{model.path}: CTranslate2 cannot load this model ({error}); {advice}") from None
    if origin_of(model) != origin:
        raise UserError(f"{model.path}: another process replaced this model during loading; run the command again")
    return translator
