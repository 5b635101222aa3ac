"""The tiny model's tokenizer: a token per template word, and per character of everything that a puzzle computes with.

Digits, bits and letters are single tokens, so that a step of a worked trace is a step over tokens. Encoding and
decoding are exact inverses. A post-processor adds the begin token: without one lm-eval's `add_bos_token`
silently does nothing, at the cost of ten points.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNK = SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")


def entries(words: Iterable[str]) -> list[str]:
    """The vocabulary in id order: specials, printable ASCII, then each word with and without a space before it."""
    characters = sorted(set(string.printable) - set("\t\r\x0b\x0c"))
    longer = sorted({space + word for word in words if len(word) > 1 for space in ("", " ")})
    return [*SPECIALS, *characters, *longer]


def make_tokenizer(words: Iterable[str], max_length: int) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over `words` and characters, for sequences of up to `max_length` tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = entries(words)
    longest_first = sorted((entry for entry in vocabulary[len(SPECIALS) :] if len(entry) > 1), key=len, reverse=True)
    pattern = "|".join(map(_whole_word, longest_first)) + r"|[\s\S]"
    tokenizer = Tokenizer(models.WordLevel({entry: at for at, entry in enumerate(vocabulary)}, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.decoder = decoders.Fuse()
    bos = (BOS, vocabulary.index(BOS))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[bos])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="left",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def _whole_word(entry: str) -> str:
    """Pattern of an entry that is not part of a longer word: `is` does not match in `this`."""
    before = "(?<![A-Za-z])" if entry[0].isalpha() else ""
    after = "(?![A-Za-z])" if entry[-1].isalpha() else ""
    return f"{before}{re.escape(entry)}{after}"
