"""Device selection, memory use and supported precisions."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from translate.errors import UserError
from translate.system.distributed import is_launched, launched_number, local_rank
from translate.system.memory import peak_main_memory

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h>


def pick_device(name: str) -> torch.device:
    """Return the named device. `auto` prefers CUDA, then MPS, then CPU. Raises UserError if the device is missing."""
    is_available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    names = [device for device, available in is_available.items() if available]
    if name not in ("auto", *names):
        index = name.removeprefix("cuda:")
        one = f", with CUDA_VISIBLE_DEVICES={index} for one of several GPUs" if index.isdecimal() else ""
        one = " (a GPU is called cuda)" if name == "gpu" else one
        raise UserError(f"--device {name}: not available to PyTorch; choose one of auto, {', '.join(names)}{one}")
    name = names[0] if name == "auto" else name
    if name == "mps" and is_launched() and launched_number("WORLD_SIZE") > 1:
        raise UserError("--device mps: PyTorch does not support multiple processes on MPS; use --device cpu")
    if name != "cuda":
        return torch.device(name)
    # On some GPUs, PyTorch prefers cuDNN attention, which builds a plan for each new batch shape. This takes as long as
    # several steps. Some versions of cuDNN attention also misread float32 masks (PyTorch pull request 191612).
    torch.backends.cuda.enable_cudnn_sdp(False)
    number, num_gpus = local_rank(), torch.cuda.device_count()
    if number is None:
        return torch.device(name)
    if number >= num_gpus:
        raise UserError(
            f"--device cuda: each process needs its own GPU, but this machine has only {num_gpus}; "
            f"use --nproc-per-node {num_gpus} or --device cpu"
        )
    torch.cuda.set_device(number)  # otherwise pinned memory would belong to the first GPU
    return torch.device(name, number)


def describe(device: torch.device) -> str:
    """Return the device's name, including its GPU model or number of threads."""
    if device.type == "cuda":
        return f"CUDA ({torch.cuda.get_device_name(device)})"
    return "MPS" if device.type == "mps" else f"CPU ({torch.get_num_threads()} threads)"


def keep_freed_memory() -> None:
    """Make glibc keep freed memory, because requesting it again took a fifth of a small model's step time."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Within the block, or the function it decorates, treat numbers below 1.2e-38 as 0, in threads started there, too.

    The momenta of weights without a gradient, such as those of a unit that no longer fires, decay to such numbers.
    Processors from Intel take a hundred times as long to compute with them as with others.
    """
    smallest = torch.tensor(torch.finfo(torch.float32).smallest_normal)
    was_flushing = bool(smallest / 2 == 0)
    torch.set_flush_denormal(True)  # does nothing on processors that cannot
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushing)


def peak_memory(device: torch.device) -> int:
    """Return this process's peak memory use so far, in bytes: GPU memory on CUDA, or else main memory."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else peak_main_memory()


def seconds_on(device: torch.device) -> float:
    """Return the time in seconds, from an arbitrary start, once the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def explaining_oom(advice: str) -> Iterator[None]:
    """Convert out-of-memory errors within the block to a UserError. advice: which settings to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        where = " on the GPU" if isinstance(error, torch.OutOfMemoryError) else ""
        raise UserError(f"out of memory{where}; {advice}") from None


def is_out_of_memory(error: Exception) -> bool:
    """Return whether the error means that memory ran out. On CPU and MPS, PyTorch raises a generic exception."""
    messages = "can't allocate memory", "MPS backend out of memory"
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(each in str(error) for each in messages)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 instructions. Without them, bfloat16 works but is slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):  # available since PyTorch 2.10
        return any(has_it and name.endswith("bf16") for name, has_it in torch.cpu.get_capabilities().items())
    return False
