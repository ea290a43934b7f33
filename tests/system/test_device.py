"""Which device and precision are taken; what is said when memory is short."""

from __future__ import annotations

import pytest
import torch

from translate.errors import UserError
from translate.system.device import explaining_oom, multiplies_bfloat16, pick_device


@pytest.mark.parametrize(
    ("has_cuda", "has_mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_then_mps_then_the_cpu(
    monkeypatch: pytest.MonkeyPatch, has_cuda: bool, has_mps: bool, expected: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: has_mps)
    monkeypatch.setattr("torch.backends.cuda.enable_cudnn_sdp", lambda enabled: None)
    assert pick_device("auto").type == expected
    assert pick_device("cpu").type == "cpu"


def test_on_cuda_attention_is_not_left_to_cudnn_which_plans_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_device_multiplies_bfloat16_if_it_says_so(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    capabilities = {"avx2": True, "amx_bf16": is_there, "avx512_bf16": False}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda *, including_emulation: is_there)
    assert multiplies_bfloat16(torch.device("cpu")) == is_there
    assert multiplies_bfloat16(torch.device("cuda")) == is_there
    assert not multiplies_bfloat16(torch.device("mps"))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), RuntimeError("x: you tried; can't allocate memory")])
def test_out_of_memory_is_told_with_advice(error: RuntimeError) -> None:
    with pytest.raises(UserError, match=r"out of memory.*; lower this"), explaining_oom("lower this"):
        raise error
    with pytest.raises(RuntimeError, match="other"), explaining_oom("lower this"):
        raise RuntimeError("other")


def test_each_process_of_torchrun_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
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
