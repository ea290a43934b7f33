"""The training text with BPE-dropout (Provilkov et al. 2020), encoded again in each epoch.

The pieces are a pure function of text, seed and epoch. The files are slightly larger than without dropout; each epoch
replaces those of the previous one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from translate.data.encoded_corpus import CorpusOrigin, EncodedCorpus, encode, open_corpus, origin_of
from translate.data.filters import Filters
from translate.data.parallel_text import ParallelText
from translate.data.vocab import VocabPair
from translate.errors import UserError
from translate.system.distributed import World


@dataclass(frozen=True)
class ResampledCorpus:
    """A training text whose pieces differ between epochs; its pairs and their order do not."""

    folder: Path  # folder for the encoded corpora
    log: Callable[[str], None]
    text: ParallelText
    origin: CorpusOrigin  # the epoch in it is ignored
    filters: Filters

    def of_epoch(self, epoch: int, vocabs: VocabPair, world: World) -> EncodedCorpus:
        """Return the corpus of an epoch, which the first process encodes unless an interrupted run left it complete.

        All processes must call this after the last step of the previous epoch. Raises UserError if another process
        cannot read the files.
        """
        base = self.folder / f"epoch-{epoch}"
        if world.is_first:
            self._ensure_encoded(base, replace(self.origin, epoch=epoch), vocabs)
        world.gather(None)  # the others wait for the first
        corpus = open_corpus(base, vocabs)
        if corpus is None:
            raise UserError(
                f"{base}.json differs from what the first process wrote; put the run folder on a shared file system"
            )
        return corpus

    def _ensure_encoded(self, base: Path, origin: CorpusOrigin, vocabs: VocabPair) -> None:
        for old in base.parent.glob("epoch-*"):
            if old.name.partition(".")[0] != base.name:
                old.unlink()
        if origin_of(base) != origin or open_corpus(base, vocabs) is None:
            encode(self.text, vocabs, origin, base, self.log, self.filters)
