"""The bare libraries: datatrove's steps, with what they would download handed to them, and datasketch's index."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from datasketch import MinHash, MinHashLSH
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter
from datatrove.pipeline.filters.language_filter import LanguageFilter
from datatrove.pipeline.formatters.pii import PIIFormatter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.text import ngrams, simplify_text

from schemas.rows import Row
from services.data.collect.near_duplicates import PERMUTATIONS, shingles
from services.data.filters.language import language_model
from services.data.filters.quality import WORDS, BadWords

logging.getLogger("datatrove").setLevel(logging.ERROR)


LanguageFilter._requires_dependencies = []  # noqa: SLF001  # it names a package that we have the same module of


class CarriedModel:
    """The language model of a wheel, answering as fastText's own package would."""

    def predict(self, text: str, k: int) -> tuple[tuple[str, ...], Any]:
        """Labels and probabilities."""
        labels, probabilities = language_model().predict(text, k=k)
        return labels, np.array(probabilities)


class Language(LanguageFilter):  # type: ignore[misc]  # datatrove has no types
    """datatrove's filter of languages, without the package that it would load its model by."""

    def __init__(self) -> None:
        super().__init__(languages=["en"])
        self.model._model = CarriedModel()  # noqa: SLF001  # the only place for a model that is there already


class Decontaminate(NGramsDecontFilter):  # type: ignore[misc]
    """datatrove's decontamination, by the 12-grams of these texts."""

    def __init__(self, texts: Iterable[str], n: int = 12) -> None:
        hashed = HashConfig(hash_fc="sha1")  # its other choice does not work with the xxhash that is installed here
        super().__init__("memory://none", config=NGramsDecontConfig(n_grams=n, hash_config=hashed), language=WORDS)
        self._index_hashes = {
            self.hash_func(" ".join(gram)): "sealed"
            for text in texts
            for gram in ngrams(self.tokenizer.word_tokenize(simplify_text(text, self.config.norm_config)), n)
        }


def quality() -> tuple[Any, ...]:
    """The filters of quality, with the bounds and the tokenizer that ours have."""
    gopher = GopherQualityFilter(min_doc_words=1, max_doc_words=None, language=WORDS)
    return (gopher, GopherRepetitionFilter(language=WORDS), FineWebQualityFilter(language=WORDS), BadWords())


def near(pages: Iterable[Row], threshold: float) -> Iterator[Row]:
    """Pages that are like no earlier one, by datasketch's index in memory."""
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    for row in pages:
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([shingle.encode() for shingle in shingles(row.trace)])
        if not index.query(sketch):
            index.insert(row.core, sketch)
            yield row


def run(steps: Iterable[Any], pages: Iterable[Row]) -> Iterator[Row]:
    """Steps of datatrove one after the other, as its executor runs them."""
    documents: Any = (Document(text=row.trace, id=row.core, metadata={"row": row}) for row in pages)
    for step in steps:
        documents = step.run(documents)
    for document in documents:
        yield document.metadata["row"]


def personal() -> Any:
    """The scrubbing by datatrove of e-mail and IP addresses."""
    return PIIFormatter()
