"""Device selection, bfloat16 support and out-of-memory messages."""

from __future__ import annotations

import pytest
import torch

from translate.errors import UserError
from translate.system.device import explaining_oom, multiplies_bfloat16, pick_device


@pytest.mark.parametrize(
    ("has_cuda", "has_mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_prefers_cuda_then_mps_then_cpu(
    monkeypatch: pytest.MonkeyPatch, has_cuda: bool, has_mps: bool, expected: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: has_mps)
    monkeypatch.setattr("torch.backends.cuda.enable_cudnn_sdp", lambda enabled: None)
    assert pick_device("auto").type == expected
    assert pick_device("cpu").type == "cpu"


def test_cudnn_attention_is_disabled_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    was_enabled = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        torch.backends.cuda.enable_cudnn_sdp(True)
        pick_device("cpu")
        assert torch.backends.cuda.cudnn_sdp_enabled()
        pick_device("cuda")
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(was_enabled)


@pytest.mark.parametrize("is_there", [True, False])
def test_bfloat16_support_is_read_from_the_device_capabilities(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    capabilities = {"avx2": True, "amx_bf16": is_there, "avx512_bf16": False}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *, including_emulation: is_there)
    assert multiplies_bfloat16(torch.device("cpu")) == is_there
    assert multiplies_bfloat16(torch.device("cuda")) == is_there
    assert not multiplies_bfloat16(torch.device("mps"))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), RuntimeError("x: you tried; can't allocate memory")])
def test_out_of_memory_is_reported_with_advice(error: RuntimeError) -> None:
    with pytest.raises(UserError, match=r"out of memory.*; lower this"), explaining_oom("lower this"):
        raise error
    with pytest.raises(RuntimeError, match="other"), explaining_oom("lower this"):
        raise RuntimeError("other")


def test_each_torchrun_process_uses_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", lambda number: None)
    monkeypatch.setattr("torch.backends.cuda.enable_cudnn_sdp", lambda enabled: None)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device("auto") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="each process needs its own GPU, but this machine has only 2; use"):
        pick_device("auto")
