"""Tokenizers of the kinds that people's models have, and tiny models for them: built here, in a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

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

KINDS = ("bytes", "pieces", "appending", "no_beginning")


@cache
def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of a kind: `bytes` (byte-level BPE with ChatML), `pieces` (SentencePiece-like, with BOS), `appending`
    (it ends every text with its end token), `no_beginning` (SentencePiece-like, without BOS).
    """
    special = ["<s>", "</s>", "<unk>"] if kind != "bytes" else ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    made = Tokenizer(models.BPE(unk_token=None if kind in ("bytes", "appending") else "<unk>"))
    if kind in ("bytes", "appending"):
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        made.decoder = decoders.Metaspace(prepend_scheme="first")
        alphabet = sorted(set("".join(CORPUS)) | set("abcdefghijklmnopqrstuvwxyz<>|_/"))
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=list(alphabet), show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens([AddedToken(token, special=True) for token in special])
    if kind in ("pieces", "appending"):
        end = " </s>" if kind == "appending" else ""
        ids = [("<s>", made.token_to_id("<s>")), ("</s>", made.token_to_id("</s>"))]
        made.post_processor = processors.TemplateProcessing(single=f"<s> $A{end}", special_tokens=ids)
    names = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    if kind != "bytes":
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    ready = PreTrainedTokenizerFast(tokenizer_object=made, padding_side="left", **names)
    ready.chat_template = CHATML if kind == "bytes" else INST
    return ready


def model(folder: Path, kind: str = "bytes", *, tied: bool = True, seed: int = 0) -> Path:
    """A random Llama of one of these tokenizers, in a folder."""
    texts = tokenizer(kind)
    config = LlamaConfig(
        vocab_size=len(texts),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        bos_token_id=texts.bos_token_id,
        eos_token_id=texts.eos_token_id,
        pad_token_id=texts.pad_token_id,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(folder)
    texts.save_pretrained(folder)
    return folder
