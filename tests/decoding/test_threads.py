"""Several threads share a translator, with heads masked or not, and each gets its own answer."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from translate.api import load_translator
from translate.attention.extract import attention_maps, engine_of, heads_named
from translate.decoding.line_translator import LineTranslator
from translate.decoding.results import DecodeRequest, Translation
from translate.errors import UserError
from translate.model.seq2seq import AttentionModule

SENTENCES = ["I love apples.", "The cat sat.", "She sings.", "Does she see the cat?"]
NAMES: list[list[str]] = [[], ["cross.1.1"], ["decoder.0.0", "encoder.1.0"], ["cross.0.0", "cross.0.1"]]


def masked(translator: LineTranslator, names: list[str]) -> LineTranslator:
    return translator.without(heads_named(translator, names))


def answer(translator: LineTranslator, sentence: str, is_covered: bool) -> tuple[object, ...]:
    """A search (whose coverage penalty needs hooks on the model), the scores of its result and its maps."""
    settings = translator.settings.model_copy(update={"coverage_penalty": 0.2 * is_covered})
    (found,) = translator.translations([sentence], settings, DecodeRequest(num_best=2, details=True))
    (scored,) = translator.score([(sentence, found.text)])
    (maps,) = attention_maps(translator, found.parts)
    return found, scored, *(stack.weights.tobytes() for stack in maps.stacks.values())


@pytest.mark.parametrize(
    ("architecture", "masks"),
    [("transformer", NAMES), ("recurrent", [[], []]), ("decoder-only", [[], ["self.1.1"]])],
)
def test_eight_threads_with_different_masks_answer_as_each_would_alone(
    run_of: Callable[[str], Path], architecture: str, masks: list[list[str]]
) -> None:
    run = run_of(architecture)
    translator = load_translator(run, "cpu")
    jobs = [(names, sentence, bool(i % 2)) for names in masks for i, sentence in enumerate(SENTENCES)]
    expected = [answer(masked(load_translator(run, "cpu"), names), *rest) for names, *rest in jobs]
    assert len(set(map(str, expected))) == len(set(map(str, jobs)))
    barrier = threading.Barrier(8)

    def work(job: tuple[list[str], str, bool]) -> tuple[object, ...]:
        barrier.wait(timeout=30)
        names, *rest = job
        return answer(masked(translator, names), *rest)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, jobs)) == expected
    assert not any(module._forward_hooks for module in engine_of(translator).model.modules())


def interrupt(_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def fail(_: object) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(("watch", "error"), [(interrupt, KeyboardInterrupt), (fail, ZeroDivisionError)])
@pytest.mark.parametrize("names", NAMES[:2])
def test_a_search_that_is_interrupted_or_fails_leaves_the_translator_usable(
    translator: LineTranslator, watch: Callable[[str], None], error: type[BaseException], names: list[str]
) -> None:
    expected = translator.translate(SENTENCES)
    with pytest.raises(error):
        list(masked(translator, names).translations(SENTENCES[:1], watch=watch))
    assert not engine_of(translator).lock.locked()
    assert translator.translate(SENTENCES) == expected


def test_a_hook_that_ctrl_c_leaves_on_the_model_does_nothing(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = load_translator(tiny_run, "cpu")
    expected = [answer(translator, sentence, True) for sentence in SENTENCES]
    register = AttentionModule.register_forward_hook

    def register_and_interrupt(*given: Any) -> None:
        register(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AttentionModule, "register_forward_hook", register_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            answer(translator, SENTENCES[0], True)
    assert any(module._forward_hooks for module in engine_of(translator).model.modules())
    assert [answer(translator, sentence, True) for sentence in SENTENCES] == expected


def test_an_error_in_one_thread_does_not_reach_another(translator: LineTranslator) -> None:
    expected, entered = translator.translate(SENTENCES), threading.Event()

    def fail_late(_: object) -> None:
        entered.set()
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(lambda: list(translator.translations(SENTENCES[:1], watch=fail_late)))
        entered.wait(timeout=30)
        assert pool.submit(translator.translate, SENTENCES).result(timeout=30) == expected
        assert isinstance(failing.exception(timeout=30), ZeroDivisionError)


def test_ctrl_c_while_waiting_for_another_thread_leaves_the_translator_usable(translator: LineTranslator) -> None:
    expected, lock = translator.translate(SENTENCES), engine_of(translator).lock
    timer = threading.Timer(0.1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    with lock:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            translator.translate(SENTENCES)
    timer.join()
    assert translator.translate(SENTENCES) == expected


def test_a_child_forked_during_a_search_can_translate(translator: LineTranslator) -> None:
    with engine_of(translator).lock:
        child = os.fork()
        if not child:
            os._exit(3 if engine_of(translator).lock.locked() else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copied_translator_has_a_lock_of_its_own(translator: LineTranslator, duplicate: Callable[[Any], Any]) -> None:
    with engine_of(translator).lock:
        assert duplicate(translator).translate(SENTENCES)


def test_an_ensemble_masks_its_first_model_only(tiny_run: Path, other_run: Path) -> None:
    ensemble = load_translator(tiny_run, "cpu", ensemble=[other_run])
    engine, without = engine_of(ensemble), engine_of(masked(ensemble, ["cross.1.1"]))
    assert without.models[1] is engine.models[1]
    assert without.lock is engine.lock
    found: Translation
    (found,) = masked(ensemble, ["cross.1.1"]).translations(SENTENCES[:1])
    (maps,), (expected,) = (
        attention_maps(each, found.parts)
        for each in (masked(ensemble, ["cross.1.1"]), masked(load_translator(tiny_run, "cpu"), ["cross.1.1"]))
    )
    assert (maps.cross == expected.cross).all()


def test_ctranslate2_says_that_it_cannot_mask_heads(tiny_run: Path, translator: LineTranslator) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is an extra: pip install ctranslate2")
    with pytest.raises(UserError, match=r"^cross\.1\.1: CTranslate2 cannot mask heads; use --engine torch$"):
        load_translator(tiny_run, "cpu", "ctranslate2").without(heads_named(translator, ["cross.1.1"]))
