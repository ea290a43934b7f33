"""The training text in pieces that are drawn anew in each epoch: BPE-dropout (Provilkov et al. 2020).

The pieces are a pure function of text, seed and epoch. They lie in files as the text without dropout does, and take as
much of the disk and a little more; those of one epoch take the place of those of the last.
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
    """A training text whose pieces differ by epoch. Its pairs and their order do not."""

    folder: Path  # of the encoded corpora
    log: Callable[[str], None]
    text: ParallelText
    origin: CorpusOrigin  # of any epoch
    filters: Filters

    def of_epoch(self, epoch: int, vocabs: VocabPair, world: World) -> EncodedCorpus:
        """The text as an epoch reads it: made by the first process, or found where a stopped training left it.

        All processes have to call this alike, after the last step of another epoch. Raises UserError where the others
        do not find it.
        """
        base = self.folder / f"epoch-{epoch}"
        if world.is_first:
            self._make(base, replace(self.origin, epoch=epoch), vocabs)
        world.gather(None)  # the others wait until it is made
        corpus = open_corpus(base, vocabs)
        if corpus is None:
            raise UserError(
                f"{base}.json: not what the first process made; is the run folder on a file system for all?"
            )
        return corpus

    def _make(self, base: Path, origin: CorpusOrigin, vocabs: VocabPair) -> None:
        for old in base.parent.glob("epoch-*"):
            if old.name.partition(".")[0] != base.name:
                old.unlink()
        if origin_of(base) != origin or open_corpus(base, vocabs) is None:
            encode(self.text, vocabs, origin, base, self.log, self.filters)
