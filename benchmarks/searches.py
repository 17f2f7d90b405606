"""Questions put to an archive: all hits, and whether `reelseek search` would show any by default.

All that the benchmark knows of how a search is asked is here. Hits come ungrouped and whatever
their probability, as `--all` shows them before copies are folded together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.measures.truth import Answer, Found
from search.answer import answer, least_confidence
from search.language import refuse_unread
from search.moments.base import MomentHead
from search.searcher import SHORTLIST_SEGMENTS, Hit, Searcher
from search.searcher import Found as AllFound
from search.text.base import EncodedQuery, TextEncoder
from storage.bundles import EncoderBundle
from storage.errors import QueryError
from storage.records import EncoderStamp
from storage.view import Snapshot

HITS = 1000
"""So many hits are asked for: all segments of the measuring set are shortlisted then."""

SHOWN = 10
"""Rows that `reelseek search` shows by default: a refusal is its refusal."""


class RememberingEncoder:
    """A text tower that encodes each sentence once, however many archives it is put to."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._known: dict[str, EncodedQuery] = {}

    @property
    def stamp(self) -> EncoderStamp:
        return self._encoder.stamp

    def encode(self, sentence: str) -> EncodedQuery:
        if sentence not in self._known:
            self._known[sentence] = self._encoder.encode(sentence)
        return self._known[sentence]


class ThoroughSearcher(Searcher):
    """Finds all there is for a sentence, once; of fewer hits it gives what is in the segments that
    a search for so many would have looked at."""

    def __init__(self, snapshot: Snapshot, encoder: TextEncoder, head: MomentHead) -> None:
        super().__init__(snapshot, encoder, head)
        self._all: dict[str, AllFound] = {}

    def found(
        self, sentence: str, top: int, video_glob: str | None = None, most: int | None = None
    ) -> AllFound:
        if video_glob is not None:
            return super().found(sentence, top, video_glob, most)
        if sentence not in self._all:
            self._all[sentence] = super().found(sentence, HITS, None, HITS)
        everything = self._all[sentence]
        segments = max(SHORTLIST_SEGMENTS, top)
        hits = [hit for hit in everything.hits if hit.stages.get("segment_rank", 0) <= segments]
        return replace(everything, hits=tuple(hits[:most]))


class Asker:
    """Puts questions to one archive, each once."""

    def __init__(
        self,
        searcher: ThoroughSearcher,
        head: MomentHead,
        bundle: EncoderBundle,
        name_of: Callable[[str], str],
    ) -> None:
        """
        Arguments:
            head: of the searcher.
            bundle: of the searcher's encoder.
            name_of: turns the path of a film into what the truth calls it.
        """
        self._searcher = searcher
        self._head = head
        self._bundle = bundle
        self._name_of = name_of
        self._known: dict[str, Answer] = {}

    def ask(self, sentence: str) -> Answer:
        """All hits, best first, and whether a user would be told that nothing matches.

        A question that is turned down, as for its language, brings no hits.
        """
        if sentence not in self._known:
            try:
                self._known[sentence] = self._asked(sentence)
            except QueryError:
                self._known[sentence] = Answer((), refused=True, understood=False)
        return self._known[sentence]

    def _asked(self, sentence: str) -> Answer:
        refuse_unread(sentence, self._bundle)
        hits = tuple(map(self._found, self._searcher.moments(sentence, HITS)))
        least = least_confidence(None, self._head)
        by_default = answer(self._searcher, sentence, SHOWN, None, least)
        return Answer(hits, refused=by_default.matched is False)

    def _found(self, hit: Hit) -> Found:
        return Found(
            self._name_of(hit.video.path), hit.start_s, hit.end_s, hit.score, hit.probability
        )
