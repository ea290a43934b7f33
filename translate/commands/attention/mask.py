"""translate attention RUN --mask: what a run does without some of its heads."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from translate.commands.app import DeviceOption
from translate.errors import UserError
from translate.system.terminal_text import for_stream

if TYPE_CHECKING:
    from translate.attention.head_ablation import Effect
    from translate.data.parallel_text import Pair
    from translate.decoding.translator import Translator

EVERY = "every"


def mask(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `translate train` wrote.")],
    heads: Annotated[
        list[str],
        typer.Option(
            "--mask", metavar="HEAD", help="Switch off, such as cross.2.3; may be repeated. every: one by one."
        ),
    ],
    src: Annotated[Path, typer.Option(metavar="FILE", help="Source text (plain, .gz or .tsv).")],
    ref: Annotated[Path, typer.Option(metavar="FILE", help="Its translation, line for line.")],
    examples: Annotated[int, typer.Option(min=0, help="How many of the most changed translations to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object; for every head one.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Switch heads off, and tell what that changes in loss, BLEU, chrF and text. `attention RUN --mask` is this.

    A head is kind.layer.head, from 0. With --mask every, the loss without each head, the head that matters most first.

    \b
    translate attention runs/toy --mask cross.1.0 --mask cross.1.2 --src test.en --ref test.fr
    translate attention runs/toy --mask every --src test.en --ref test.fr
    """
    from translate.api import load_translator
    from translate.attention.extract import engine_of
    from translate.data.parallel_text import ParallelText
    from translate.data.readers.sides import Side
    from translate.model.hooks import Head

    if EVERY in heads and len(heads) > 1:
        raise UserError(f"--mask {EVERY}: takes each head by itself; leave out the other --mask")
    translator = load_translator(run, device)
    chosen = [Head.parse(text, engine_of(translator).model) for text in heads if text != EVERY]
    pairs = list(ParallelText(Side(src, 1), Side(ref, 2)))
    if not any(pair.is_full for pair in pairs):
        raise UserError(f"{src}, {ref}: no line has text on both sides; there is nothing to score")
    if not chosen:
        _tell_every(translator, pairs, as_json)
        return
    from translate.attention.head_ablation import effect_of

    effect = effect_of(translator, chosen, pairs)
    names = [str(head) for head in dict.fromkeys(chosen)]
    if as_json:
        shown = {**asdict(effect), "changes": [asdict(change) for change in effect.changes[:examples]]}
        scores = {"whole": effect.whole._asdict(), "without": effect.without._asdict()}
        numbers = {**scores, "num_changed": len(effect.changes)}
        told = json.dumps({"heads": names, **shown, **numbers}, ensure_ascii=False)
    else:
        told = "\n".join(_told(effect, names, examples))
    print(for_stream(told, sys.stdout))


def _told(effect: Effect, names: Sequence[str], examples: int) -> list[str]:
    lines = [
        f"without {', '.join(names)}; {effect.num_lines:,} lines, {effect.num_pieces:,} pieces of the reference",
        "",
        "                     all heads  without  difference",
    ]
    for label, digits, old, new in (
        ("loss (nats a piece)", 4, effect.whole.loss, effect.without.loss),
        ("BLEU", 2, effect.whole.bleu, effect.without.bleu),
        ("chrF", 2, effect.whole.chrf, effect.without.chrf),
    ):
        lines.append(f"{label:<19}  {old:9.{digits}f}  {new:7.{digits}f}  {new - old:+10.{digits}f}")
    share = 100 * len(effect.changes) / effect.num_lines
    lines += ["", f"other translations: {len(effect.changes):,} of {effect.num_lines:,} ({share:.1f} %)"]
    for change in effect.changes[:examples]:
        lines += [
            "",
            f"line {change.line}",
            f"  source     {change.source}",
            f"  reference  {change.reference}",
            f"  all heads  {change.whole}",
            f"  without    {change.without}",
        ]
    bleu, chrf = effect.signatures
    return [*lines, "", f"BLEU {bleu}", f"chrF {chrf}"]


def _tell_every(translator: Translator, pairs: Sequence[Pair], as_json: bool) -> None:
    import sys

    from tqdm import tqdm

    from translate.attention.extract import engine_of
    from translate.attention.head_ablation import head_importances, loss_of
    from translate.model.hooks import heads_of

    whole = loss_of(translator, pairs)
    num_heads = len(heads_of(engine_of(translator).model))
    bar = tqdm(
        head_importances(translator, pairs), total=num_heads, unit="head", file=sys.stderr, disable=None, leave=False
    )
    worths = sorted(bar, key=lambda worth: -worth.loss)
    if as_json:
        for head, loss in worths:
            print(json.dumps({"head": str(head), "loss": loss, "difference": loss - whole}))
        return
    width = max(len(str(head)) for head, _ in worths)
    print(f"loss with all heads: {whole:.4f} nats a piece of the reference\n")
    print(f"{'without':<{width}}  {'loss':>7}  difference")
    for head, loss in worths:
        print(f"{head!s:<{width}}  {loss:7.4f}  {loss - whole:+10.4f}")
