"""The training text with BPE-dropout (Provilkov et al. 2020), encoded again for each epoch.

The pieces are a pure function of text, seed and epoch. The files of each epoch replace those of the previous one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from translate.data.encoded_corpus import CorpusOrigin, EncodedCorpus, encode, open_corpus, origin_of
from translate.data.filters import Filters
from translate.data.parallel_text import ParallelText
from translate.data.vocab import Log, VocabPair
from translate.errors import UserError
from translate.system.distributed import World


@dataclass(frozen=True)
class ResampledCorpus:
    """A training text whose pieces change in each epoch, unlike its pairs and their order."""

    folder: Path  # for the encoded corpora
    log: Log
    text: ParallelText
    origin: CorpusOrigin  # its epoch is ignored
    filters: Filters

    def of_epoch(self, epoch: int, vocabs: VocabPair, world: World) -> EncodedCorpus:
        """Return the corpus of an epoch. The first process encodes it, unless an interrupted run already has.

        All processes must call this after the last step of the previous epoch. Raises UserError if another process
        cannot read the files.
        """
        base, origin = self.folder / f"epoch-{epoch}", replace(self.origin, epoch=epoch)
        if world.is_first:
            for old in self.folder.glob("epoch-*"):
                if old.name.partition(".")[0] != base.name:
                    old.unlink()
            if origin_of(base) != origin or open_corpus(base, vocabs) is None:
                encode(self.text, vocabs, origin, base, self.log, self.filters)
        world.gather(None)  # the others wait for the first
        corpus = open_corpus(base, vocabs)
        if corpus is None:
            raise UserError(
                f"{base}.json differs from that of the first process; put the run folder on a shared file system"
            )
        return corpus
