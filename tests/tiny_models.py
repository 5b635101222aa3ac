"""Random Llamas of some ten thousand parameters, made in a second: over the puzzles' tokenizer, over one for chats, and
over tokenizers of the kinds that people's models have. And a small snapshot to train them on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from services.data.job import CellPlan, SnapshotPlan
from services.data.snapshot import build
from services.trainer.tiny_base.tokenizer import make_tokenizer
from tasks.puzzles.vocabulary import vocabulary

DOMAINS = ("roman", "units")

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHAT_TEXTS = (
    "Ana has 3 apples and gets 4 more. How many apples does Ana have?",
    "3 + 4 = 7\n#### 7",
    "Solve the problem. Write each step on its own line, then the answer after ####.",
    "Describe the rain in winter. Answer in one short sentence.",
)

CORPUS = [
    "What is 2 + 3? The answer is 5.",
    "Tom has 12 apples and gives 7 away. How many are left?\n\n12 - 7 = 5\n#### 5",
    "Übung macht den Meister; çà et là; 日本語 and emoji 🙂 too.",
    "user assistant system question answer thinking because therefore",
] * 4

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's form; a turn ends with another token than a text."""

INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n{% elif m.role == 'user' %}"
    "[INST] {{ m.content }} [/INST]{% else %}{% generation %} {{ m.content }}{{ eos_token }}{% endgeneration %}"
    "{% endif %}{% endfor %}"
)
"""Llama 2's form: no special tokens but BOS and EOS."""

FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A template that leaves out the thinking of earlier turns, as Qwen 3 and DeepSeek do."""

TOKENIZERS = ("bytes", "pieces", "appending", "no_beginning", "unigram")


def make_model(folder: Path, *, width: int = 32, seed: int = 0) -> Path:
    """A model over the puzzles' own tokenizer."""
    return _save(folder, make_tokenizer(vocabulary(), 256), seed, width=width, positions=256)


def make_adapter(
    base: Path,
    folder: Path,
    seed: int,
    targets: Sequence[str] | str = ("q_proj", "down_proj"),
    std: float = 0.3,
    rank: int = 4,
) -> Path:
    """A random LoRA adapter that changes what the model says."""
    torch.manual_seed(seed)
    modules = targets if isinstance(targets, str) else list(targets)
    config = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=8, target_modules=modules)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for weight in filter(lambda weight: weight.requires_grad, model.parameters()):
        torch.nn.init.normal_(weight, std=std)
    model.save_pretrained(str(folder))
    return folder


def make_chat_model(folder: Path, *, width: int = 32, seed: int = 0) -> Path:
    """A model with a byte-level tokenizer and a chat template: any text can be asked."""
    return _save(folder, _chat_tokenizer(), seed, width=width)


def make_text_model(folder: Path, kind: str = "bytes", *, tied: bool = True, seed: int = 0) -> Path:
    """A model over one of `TOKENIZERS`, with two heads to a head of keys and values."""
    return _save(folder, text_tokenizer(kind), seed, width=64, tie_word_embeddings=tied, num_key_value_heads=2)


def _save(
    folder: Path, tokenizer: PreTrainedTokenizerFast, seed: int, *, width: int, positions: int = 512, **more: Any
) -> Path:
    """The folder, with model and tokenizer in it."""
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": positions,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,  # the frozen output layer must be able to prefer a token
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    torch.manual_seed(seed)
    LlamaForCausalLM(LlamaConfig(**settings | more)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _chat_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CHAT_TEXTS * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=512,
    )


@cache
def text_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind: `bytes` (byte-level BPE with ChatML), `pieces` (SentencePiece-like, with BOS), `appending`
    (it ends every text with its end token), `no_beginning` (SentencePiece-like, without BOS), `unigram`
    (SentencePiece's own kind of model, with BOS; it normalises texts, and spells what it does not know in bytes).
    """
    special = ["<s>", "</s>", "<unk>"] if kind != "bytes" else ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    raw = _unigram() if kind == "unigram" else _merged(kind, special)
    raw.add_special_tokens([AddedToken(token, special=True) for token in special])
    if kind in ("pieces", "appending", "unigram"):
        end = " </s>" if kind == "appending" else ""
        ids = [("<s>", raw.token_to_id("<s>")), ("</s>", raw.token_to_id("</s>"))]
        raw.post_processor = processors.TemplateProcessing(single=f"<s> $A{end}", special_tokens=ids)
    names = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    if kind != "bytes":
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, padding_side="left", **names)
    tokenizer.chat_template = CHATML if kind == "bytes" else INST
    return tokenizer


def spelt(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """The text of tokens, special ones too."""
    return str(tokenizer.decode(list(tokens)))


def _unigram() -> Tokenizer:
    """Pieces with scores, of which the likeliest spelling of a text is taken."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(vocab_size=300, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    pieces = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"] if piece != "<unk>"]
    lowest = min(score for _, score in pieces) - 10
    known = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *((f"<0x{byte:02X}>", lowest) for byte in range(256))]
    raw = Tokenizer(models.Unigram([*known, *pieces], unk_id=0, byte_fallback=True))
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = trained.pre_tokenizer
    raw.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return raw


def _merged(kind: str, special: list[str]) -> Tokenizer:
    """Pieces by merges of bytes or of characters."""
    raw = Tokenizer(models.BPE(unk_token=None if kind in ("bytes", "appending") else "<unk>"))
    if kind in ("bytes", "appending"):
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        raw.decoder = decoders.Metaspace(prepend_scheme="first")
        alphabet = sorted(set("".join(CORPUS)) | set("abcdefghijklmnopqrstuvwxyz<>|_/"))
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=list(alphabet), show_progress=False
    )
    raw.train_from_iterator(CORPUS, trainer)
    return raw


def make_snapshot(folder: Path, rows: int = 40, domains: tuple[str, ...] = DOMAINS) -> str:
    cells = tuple(
        CellPlan(domain=domain, difficulty=level, wording=wording, rows=rows)
        for domain in domains
        for level in (1, 2)
        for wording in (0, 1)
    )
    return build(SnapshotPlan(seed="test", cells=cells), folder).uri


def memorise(folder: Path, pairs: list[tuple[str, str]], steps: int = 120) -> None:
    """Teach the model of a folder these (question, output) pairs by heart, all of its weights trained."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    rows = [tokenizer(f"{question}{output}{tokenizer.eos_token}")["input_ids"] for question, output in pairs]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
    targets = ids.masked_fill(ids == tokenizer.pad_token_id, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        model(input_ids=ids, labels=targets).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
