"""The `translate attention mask` command: head ablation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from translate.commands import options
from translate.errors import UserError
from translate.system.terminal_text import print_result

if TYPE_CHECKING:
    from translate.attention.head_ablation import AblationEffect
    from translate.data.parallel_text import Pair
    from translate.decoding.line_translator import LineTranslator

EVERY = "every"
EPILOG = """\b
Examples:
  translate attention runs/toy --mask cross.1.0 --mask cross.1.2 --src test.en --ref test.fr
  translate attention runs/toy --mask every --src test.en --ref test.fr
"""


def mask(
    run: options.Run,
    heads: Annotated[list[str], Option("--mask", metavar="HEAD", help='Head to mask, such as cross.2.3, or "every".')],
    src: options.Src,
    ref: Annotated[Path | None, options.Files("--ref", "--tgt", metavar="FILE", help="Reference.")] = None,
    examples: Annotated[int, Option(min=0, metavar="N", help="Translations to show, largest changes first.")] = 5,
    as_json: Annotated[bool, options.Files("--json", help="Print one JSON object (every: one per head).")] = False,
    device: options.Device = "auto",
) -> None:
    """Mask attention heads, and report the effect on loss, BLEU, chrF and translations.

    Heads are named kind.layer.head, counted from 0. `--mask every` masks one head at a time and prints the loss without
    each head, most important head first.
    """
    from translate.api import load_translator
    from translate.attention.extract import engine_of, heads_named
    from translate.attention.head_ablation import effect_of
    from translate.model.hooks import heads_of
    from translate.run.folder import Run

    if EVERY in heads and len(heads) > 1:
        raise UserError(f"--mask {EVERY}: masks each head in turn; leave out the other --mask options")
    ref = options.target_of(src, ref, "--ref")
    translator = load_translator(run, device)
    known = heads_of(engine_of(translator).model)
    chosen = heads_named(translator, [text for text in heads if text != EVERY or not known])
    pairs = list(Run.open(run).text(src, ref))
    if not any(pair.is_full for pair in pairs):
        raise UserError(f"{src}, {ref}: no line has text on both sides; there is nothing to score")
    if not chosen:
        _print_importances(translator, pairs, len(known), as_json)
        return
    effect = effect_of(translator, chosen, pairs)
    names = [str(head) for head in dict.fromkeys(chosen)]
    text = _as_json(effect, names, examples) if as_json else "\n".join(_lines(effect, names, examples))
    print_result(text)


def _as_json(effect: AblationEffect, names: Sequence[str], examples: int) -> str:
    changes = [asdict(change) for change in effect.changes[:examples]]
    scores = {"whole": effect.whole._asdict(), "without": effect.without._asdict()}
    fields = {"heads": names, **asdict(effect), "changes": changes, **scores, "num_changed": len(effect.changes)}
    return json.dumps(fields, ensure_ascii=False)


def _lines(effect: AblationEffect, names: Sequence[str], examples: int) -> list[str]:
    title = f"without {', '.join(names)}; {effect.num_lines:,} lines, {effect.num_pieces:,} reference pieces"
    lines = [title, "", f"{'':21}all heads  without  difference"]
    rows = zip(("loss (nats per piece)", "BLEU", "chrF"), (4, 2, 2), effect.whole, effect.without, strict=True)
    for label, digits, old, new in rows:
        lines.append(f"{label:<21}{old:9.{digits}f}  {new:7.{digits}f}  {new - old:+10.{digits}f}")
    share = 100 * len(effect.changes) / effect.num_lines
    lines += ["", f"changed translations: {len(effect.changes):,} of {effect.num_lines:,} ({share:.1f}%)"]
    for change in effect.changes[:examples]:
        lines += ["", f"line {change.line}", f"  source     {change.source}", f"  reference  {change.reference}"]
        lines += [f"  all heads  {change.whole}", f"  without    {change.without}"]
    bleu, chrf = effect.signatures
    return [*lines, "", f"BLEU {bleu}", f"chrF {chrf}"]


def _print_importances(translator: LineTranslator, pairs: Sequence[Pair], num_heads: int, as_json: bool) -> None:
    from tqdm import tqdm

    from translate.attention.head_ablation import head_importances, loss_of

    whole = loss_of(translator, pairs)
    bar = tqdm(head_importances(translator, pairs), total=num_heads, unit="head", disable=None, leave=False)
    importances = sorted(bar, key=lambda importance: -importance[1])
    if as_json:
        for head, loss in importances:
            print_result(json.dumps({"head": str(head), "loss": loss, "difference": loss - whole}))
        return
    width = max(len(str(head)) for head, _ in importances)
    print_result(f"loss with all heads: {whole:.4f} nats per reference piece\n")
    print_result(f"{'without':<{width}}  {'loss':>7}  difference")
    for head, loss in importances:
        print_result(f"{head!s:<{width}}  {loss:7.4f}  {loss - whole:+10.4f}")
