"""Training text with BPE-dropout (Provilkov et al. 2020), encoded again for each epoch.

The pieces are a pure function of the text, seed and epoch. Each epoch's files replace the files of the previous epoch.
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
    """A training text whose pieces change in every epoch, while the pairs and their order stay the same."""

    folder: Path  # folder for the encoded corpora
    log: Log
    text: ParallelText
    origin: CorpusOrigin  # its epoch is ignored
    filters: Filters

    def of_epoch(self, epoch: int, vocabs: VocabPair, world: World) -> EncodedCorpus:
        """Return the corpus for an epoch. The first process encodes it unless an interrupted run has already done so.

        All processes must call this method after the last step of the previous epoch. Raises UserError if another
        process cannot read the files.
        """
        base, origin = self.folder / f"epoch-{epoch}", replace(self.origin, epoch=epoch)
        if world.is_first:
            for old in self.folder.glob("epoch-*"):
                if old.name.partition(".")[0] != base.name:
                    old.unlink()
            if origin_of(base) != origin or open_corpus(base, vocabs) is None:
                encode(self.text, vocabs, origin, base, self.log, self.filters)
        world.gather(None)  # the other processes wait for the first one
        corpus = open_corpus(base, vocabs)
        if corpus is None:
            raise UserError(
                f"{base}.json is not the file that the first process wrote; put the run folder on a shared file system"
            )
        return corpus
