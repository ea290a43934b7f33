"""Devices, precisions, and memory on them."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from translate.errors import UserError
from translate.system.memory import peak_main_memory

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h>
DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str) -> torch.device:
    """Return the device; auto is CUDA, else MPS, else the CPU. Raises UserError for a device that is not available.

    Each of the processes that torchrun starts on a machine gets a GPU of its own.
    """
    if name not in DEVICES:
        raise UserError(f"--device {name}: unknown device; choose one of {', '.join(DEVICES)}")
    is_there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return _own(next(device for device, there in is_there.items() if there))
    if not is_there[name]:
        here = ", ".join(device for device, there in is_there.items() if there)
        raise UserError(f"--device {name}: PyTorch finds no such device; available: {here}")
    return _own(name)


def describe(device: torch.device) -> str:
    """Describe the device, with what matters for its speed."""
    if device.type == "cuda":
        return f"CUDA ({torch.cuda.get_device_name(device)})"
    return "MPS" if device.type == "mps" else f"CPU ({torch.get_num_threads()} threads)"


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next step instead of returning it to the system.

    Every training step allocates the same large tensors. Getting them from the system each time took a fifth of a small
    model's step on a CPU.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def peak_memory(device: torch.device) -> int:
    """Return the peak memory of this process so far in bytes: GPU memory on CUDA, else main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return peak_main_memory()


@contextmanager
def explaining_oom(advice: str) -> Iterator[None]:
    """Within the block, turn running out of memory into a UserError with `advice` on what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        place = " on the GPU" if isinstance(error, torch.OutOfMemoryError) else ""
        raise UserError(f"out of memory{place}; {advice}") from None


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that memory ran out. On a CPU, PyTorch has no exception of its own for that."""
    words = "can't allocate memory", "MPS backend out of memory"
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(each in str(error) for each in words)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16. Without them it is possible, but slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):  # from PyTorch 2.10 on
        return any(is_there and name.endswith("bf16") for name, is_there in torch.cpu.get_capabilities().items())
    return False


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context of a training step: matrix products in float32 or bfloat16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _own(name: str) -> torch.device:
    """Return this process's device of a kind."""
    if name == "mps" and os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError("--device mps: PyTorch supports several processes only on CPU and CUDA")
    if name != "cuda":
        return torch.device(name)
    # cuDNN's attention, which PyTorch prefers on some GPUs, plans for each new shape of a batch, which takes as long as
    # several steps. Some versions misread a mask in float32 (PyTorch, pull request 191612).
    torch.backends.cuda.enable_cudnn_sdp(False)
    if "LOCAL_RANK" not in os.environ:
        return torch.device(name)
    number, num_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= num_gpus:
        raise UserError(
            f"--device cuda: each process needs a GPU of its own, and this machine has {num_gpus}; "
            f"start {num_gpus} processes (--nproc-per-node {num_gpus}), or add --device cpu"
        )
    torch.cuda.set_device(number)  # else pinned memory would belong to the first GPU
    return torch.device(name, number)
