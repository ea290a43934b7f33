"""The training text with BPE-dropout (Provilkov et al. 2020), encoded again in each epoch.

The pieces are a pure function of text, seed and epoch. Their files are slightly larger than those without dropout; each
epoch replaces the files of the last.
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
    """A training text whose pieces differ by epoch, but not its pairs and their order."""

    folder: Path  # of the encoded corpora
    log: Callable[[str], None]
    text: ParallelText
    origin: CorpusOrigin  # of any epoch
    filters: Filters

    def of_epoch(self, epoch: int, vocabs: VocabPair, world: World) -> EncodedCorpus:
        """Return the corpus of an epoch: encoded by the first process, or left by an interrupted training.

        All processes must call this, after the last step of the epoch before. Raises UserError if the other processes
        cannot read the files.
        """
        base = self.folder / f"epoch-{epoch}"
        if world.is_first:
            self._make(base, replace(self.origin, epoch=epoch), vocabs)
        world.gather(None)  # the others wait for the first
        corpus = open_corpus(base, vocabs)
        if corpus is None:
            raise UserError(
                f"{base}.json: not what the first process wrote; is the run folder on a shared file system?"
            )
        return corpus

    def _make(self, base: Path, origin: CorpusOrigin, vocabs: VocabPair) -> None:
        for old in base.parent.glob("epoch-*"):
            if old.name.partition(".")[0] != base.name:
                old.unlink()
        if origin_of(base) != origin or open_corpus(base, vocabs) is None:
            encode(self.text, vocabs, origin, base, self.log, self.filters)
