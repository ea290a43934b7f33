"""The library of float32 products: its choice by processor, its accuracy, and that both libraries agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from translate.decoding.line_translator import LineTranslator
from translate.system import products
from translate.system.products import (
    MKL,
    ONEDNN,
    ROWS,
    Processor,
    is_accurate,
    library,
    library_to_resume,
    linear,
    preferred_library,
    prefers_onednn,
    this_processor,
    using_library,
)
from translate.training.loss import cross_entropy_sum

ZEN_5 = Processor("AuthenticAMD", 26, True)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    preferred_library.cache_clear()
    is_accurate.cache_clear()
    yield
    preferred_library.cache_clear()
    is_accurate.cache_clear()


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (ZEN_5, True),
        (Processor("AuthenticAMD", 27, True), True),
        (Processor("AuthenticAMD", 25, True), False),  # Zen 4
        (Processor("AuthenticAMD", 26, False), False),  # AVX-512 is disabled
        (Processor("GenuineIntel", 26, True), False),
        (Processor("", 0, False), False),  # ARM, or unknown
    ],
)
def test_onednn_is_preferred_on_amd_processors_with_full_width_units(processor: Processor, expected: bool) -> None:
    assert prefers_onednn(processor) == expected


@pytest.mark.parametrize(
    ("cpuinfo", "description", "expected"),
    [
        ("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t: 2\n\nprocessor\t: 1\n", "", ZEN_5),
        ("processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\n", "aarch64", Processor("", 0, True)),
        (None, "AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD", ZEN_5),
        (None, "arm", Processor("arm", 0, True)),
        (None, "", Processor("", 0, True)),
    ],
)
def test_the_processor_is_read_on_linux_and_windows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpuinfo: str | None, description: str, expected: Processor
) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo, encoding="utf-8")
    monkeypatch.setattr(products, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.processor", lambda: description)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    assert this_processor() == expected


def rounding(x: torch.Tensor, weight: torch.Tensor, *_: object) -> torch.Tensor:
    return F.linear(x.bfloat16().float(), weight.bfloat16().float())


def missing(*_: object) -> torch.Tensor:
    raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")


@pytest.mark.parametrize(("operator", "expected"), [(F.linear, ONEDNN), (rounding, MKL), (missing, MKL)])
def test_onednn_is_only_used_if_it_is_there_and_does_not_round(
    monkeypatch: pytest.MonkeyPatch, operator: object, expected: str
) -> None:
    monkeypatch.setattr(products, "this_processor", lambda: ZEN_5)
    monkeypatch.setattr(products, "onednn", operator)
    assert preferred_library() == library() == expected
    assert library_to_resume(ONEDNN) == expected


def test_a_resumed_training_keeps_the_recorded_library_or_that_of_old_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "is_accurate", lambda: True)
    monkeypatch.setattr(products, "this_processor", lambda: ZEN_5)
    assert [library_to_resume(recorded) for recorded in (ONEDNN, MKL, None)] == [ONEDNN, MKL, MKL]
    with using_library(MKL):
        assert library() == MKL
        with using_library(ONEDNN):
            assert library() == ONEDNN
        assert library() == MKL
    assert library() == ONEDNN


@pytest.mark.skipif(not is_accurate(), reason="PyTorch has no oneDNN for this processor")
def test_both_libraries_give_the_same_loss_and_gradients() -> None:
    torch.manual_seed(1)
    features, weight = torch.randn(ROWS + 5, 24, requires_grad=True), torch.randn(40, 24, requires_grad=True)
    found = []
    for name in MKL, ONEDNN:
        with using_library(name):
            loss = cross_entropy_sum(features, weight, torch.arange(ROWS + 5) % 40, label_smoothing=0.1)
            found.append((loss.detach(), *torch.autograd.grad(loss, (features, weight))))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5 * float(one.abs().max()))


@pytest.mark.skipif(not is_accurate(), reason="PyTorch has no oneDNN for this processor")
@pytest.mark.parametrize("shape", [(1, ROWS + 3, 24, 40), (3, ROWS, 40, 24), (1, 5, 24, 40)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_both_libraries_agree_with_float64_forward_and_backward(shape: tuple[int, ...], has_bias: bool) -> None:
    torch.manual_seed(1)
    *batch, width, num_outputs = shape
    x, weight = torch.randn(*batch, width, requires_grad=True), torch.randn(num_outputs, width, requires_grad=True)
    inputs = (x, weight, torch.randn(num_outputs, requires_grad=True)) if has_bias else (x, weight)
    doubles = tuple(each.detach().double().requires_grad_() for each in inputs)
    exact = F.linear(*doubles)
    expected = torch.autograd.grad(exact.square().sum(), doubles)
    for name in MKL, ONEDNN:
        with using_library(name):
            y = linear(*inputs)
            with torch.inference_mode():
                assert torch.equal(linear(*inputs), y)
            found = torch.autograd.grad(y.square().sum(), inputs)
        for mine, theirs in zip((y, *found), (exact, *expected), strict=True):
            assert mine.shape == theirs.shape
            assert torch.allclose(mine.double(), theirs, rtol=1e-5, atol=1e-5 * float(theirs.detach().abs().max()))


@pytest.mark.skipif(not is_accurate(), reason="PyTorch has no oneDNN for this processor")
def test_both_libraries_give_the_same_translations(translator: LineTranslator, corpus: Path) -> None:
    lines = (corpus / "valid.en").read_text(encoding="utf-8").splitlines()
    found = []
    for name in MKL, ONEDNN:
        with using_library(name):
            found.append(list(translator.translations(lines)))
    assert [each.text for each in found[0]] == [each.text for each in found[1]]
