"""How a question becomes the model's input, and where its answer ends: one rule for training and for evaluation.

The input includes the token that begins a text (BOS). lm-eval's `add_bos_token` asks the tokenizer for it and silently
does nothing where the tokenizer cannot give it; a small model then loses ten points. Text of rows and items never
becomes a control token: only the template writes those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

from schemas.prompts import Prompt
from services.runtime.storage.model_folders import read_object

Question = str | Sequence[Mapping[str, str]]
"""A question as text, or the conversation before the turn that is asked for."""

BOS_NAMES = ("<s>", "bos", "begin", "startoftext")
"""Parts of a token's name which mean that the token only ever begins a text."""

BOS_REMEDY = (
    "give tokenizer.json a post-processor that does, or say add_bos_token: false in tokenizer_config.json if the model "
    "was trained without"
)

MARK = "\ue000"
"""A character of the private use area that no template contains: it stands for text while a template is rendered."""


class ChatTemplateMissing(Exception):
    """The campaign asks through a chat template, and the base model's tokenizer has none."""


def question(prompt: Question, form: Prompt, tokenizer: Any) -> str:
    """The text of the model's input before its answer. Raises `ChatTemplateMissing`.

    For messages of control tokens, and for people: `question_ids` gives the tokens that are trained and measured.
    """
    if not form.chat:
        return plain_question(prompt, form)
    return render(tokenizer, conversation(prompt, form), form, add_generation_prompt=True)


def question_ids(prompt: Question, form: Prompt, tokenizer: Any) -> list[int]:
    """The tokens of the model's input before its answer, begin token included. Raises `ChatTemplateMissing`."""
    if not form.chat:
        return encode(tokenizer, plain_question(prompt, form), special=True)
    return conversation_ids(tokenizer, conversation(prompt, form), form, add_generation_prompt=True)


def conversation(prompt: Question, form: Prompt) -> list[dict[str, str]]:
    """The turns that the chat template gets: system instruction, solved examples, and the question with its suffix."""
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(turn) for turn in prompt]
    if form.suffix:
        last = max(at for at, turn in enumerate(turns) if turn["role"] == "user")
        turns[last] = {**turns[last], "content": turns[last]["content"] + form.suffix}
    for shot in reversed(form.shots):
        asked = {"role": "user", "content": shot.prompt + (form.suffix or "")}
        place = 1 if turns[0]["role"] == "system" else 0
        turns[place:place] = [asked, {"role": "assistant", "content": shot.completion}]
    if form.system and turns[0]["role"] != "system":
        turns.insert(0, {"role": "system", "content": form.system})
    return turns


def plain_question(prompt: Question, form: Prompt = Prompt()) -> str:  # noqa: B008 - frozen
    """System instruction and solved examples as paragraphs, then the question and its suffix or a line break."""
    text = prompt if isinstance(prompt, str) else "\n\n".join(turn["content"] for turn in prompt)
    end = "\n" if form.suffix is None else form.suffix
    shots = "".join(f"{shot.prompt}{end}{shot.completion}\n\n" for shot in form.shots)
    system = f"{form.system}\n\n" if form.system else ""
    return f"{system}{shots}{text}{end}"


def adds_special_tokens(form: Prompt) -> bool:
    """Whether the tokenizer adds its special tokens to a question: a chat template has written them already."""
    return not form.chat


def render(tokenizer: Any, turns: Sequence[Mapping[str, str]], form: Prompt, *, add_generation_prompt: bool) -> str:
    """A conversation as the chat template writes it. Raises `ChatTemplateMissing`."""
    if not tokenizer.chat_template:
        raise ChatTemplateMissing(
            "model.prompt: template: chat needs a chat template, and the tokenizer of model.base has none; name a "
            "chat model, or set template: none (profile: plain)"
        )
    thinking = {} if form.thinking is None else {"enable_thinking": form.thinking}
    text: str = tokenizer.apply_chat_template(
        [dict(turn) for turn in turns], tokenize=False, add_generation_prompt=add_generation_prompt, **thinking
    )
    return text


def conversation_ids(
    tokenizer: Any, turns: Sequence[Mapping[str, str]], form: Prompt, *, add_generation_prompt: bool
) -> list[int]:
    """The tokens of a conversation. Control tokens that a turn's text spells are encoded as text.

    The template is rendered as it is; where a turn contains the spelling of a control token, that spelling is encoded
    piece by piece, so that only the template can open or end a turn. Raises `ChatTemplateMissing`.
    """
    text = render(tokenizer, turns, form, add_generation_prompt=add_generation_prompt)
    if not _spells(control_tokens(tokenizer), [turn["content"] for turn in turns]):
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return _without_injection(tokenizer, turns, form, add_generation_prompt=add_generation_prompt)


def _without_injection(
    tokenizer: Any, turns: Sequence[Mapping[str, str]], form: Prompt, *, add_generation_prompt: bool
) -> list[int]:
    """Render the template around marks, then encode the template's parts and the turns' texts separately."""
    marks = [f"{MARK}{at}{MARK}" for at in range(len(turns))]
    masked = [{**turn, "content": mark} for turn, mark in zip(turns, marks, strict=True)]
    rest, ids = render(tokenizer, masked, form, add_generation_prompt=add_generation_prompt), list[int]()
    for turn, mark in zip(turns, marks, strict=True):
        before, separator, rest = rest.partition(mark)
        ids += tokenizer(before, add_special_tokens=False)["input_ids"]
        if separator:
            ids += encode(tokenizer, turn["content"].strip(), special=False)
    return ids + list(tokenizer(rest, add_special_tokens=False)["input_ids"])


def control_tokens(tokenizer: Any) -> list[str]:
    """The spellings of a tokenizer's special tokens."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    special = [str(token) for token in added if getattr(token, "special", False)]
    return list(dict.fromkeys([*tokenizer.all_special_tokens, *special]))


def encode(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    """The tokens of a text in which no control token is recognised, with the tokenizer's begin token if `special`."""
    return encode_all(tokenizer, [text], special=special)[0]


def encode_all(tokenizer: Any, texts: Sequence[str], *, special: bool) -> list[list[int]]:
    """As `encode` for several texts. An end token that a tokenizer appends by itself is left out."""
    spellings = control_tokens(tokenizer)
    split = {"split_special_tokens": True} if _spells(spellings, texts) else {}
    rows = tokenizer(list(texts), add_special_tokens=special, return_attention_mask=False, **split)["input_ids"]
    if split:
        control = set(tokenizer.convert_tokens_to_ids(spellings)) - {tokenizer.unk_token_id}
        rows = [
            row if control.isdisjoint(row) else _without_control(tokenizer, text, control, special=special)
            for text, row in zip(texts, rows, strict=True)
        ]
    end = tokenizer.eos_token_id
    appends = special and end is not None and _appends(tokenizer)
    return [row[:-1] if appends and row[-1:] == [end] else list(row) for row in rows]


def _spells(tokens: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether a text has the spelling of a token, also in signs that a tokenizer normalises, such as wide brackets."""
    forms = (form for text in texts for form in ((text,) if text.isascii() else (text, normalize("NFKC", text))))
    return any(token in form for form in forms for token in tokens)


def _without_control(tokenizer: Any, text: str, control: Collection[int], *, special: bool) -> list[int]:
    """The tokens of a text in which each control token, unless the tokenizer adds it, is spelt by its characters.

    A unigram model has its control tokens among its pieces, and takes them for the likeliest spelling of themselves.
    """
    encoded = tokenizer(text, add_special_tokens=special, return_special_tokens_mask=True, split_special_tokens=True)
    spell, ids = tokenizer.backend_tokenizer.model.tokenize, list[int]()
    for one, added in zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True):
        if added or one not in control:
            ids.append(one)
        else:
            ids += (piece.id for sign in tokenizer.convert_ids_to_tokens(one) for piece in spell(sign))
    return ids


def _appends(tokenizer: Any) -> bool:
    """Whether a tokenizer ends every text with its end token."""
    return bool(tokenizer("a")["input_ids"][-1:] == [tokenizer.eos_token_id])


def end_tokens(base: Path, tokenizer: Any, form: Prompt) -> tuple[int, ...]:
    """All tokens that end an answer: the tokenizer's end token, those of the base's configurations, and the form's.

    A chat model's turn often ends with another token than the tokenizer's own, which not every base names as an end
    token; it is what training teaches (`turn_end`). Raises `ChatTemplateMissing`.
    """
    named = [_read(base / name).get("eos_token_id") for name in ("generation_config.json", "config.json")]
    ids = [tokenizer.eos_token_id, *(one for value in named for one in (value if isinstance(value, list) else [value]))]
    if form.chat:
        ids.append(turn_end(tokenizer, form)[-1])
    return tuple(dict.fromkeys(one for one in ids if isinstance(one, int)))


def turn_end(tokenizer: Any, form: Prompt) -> tuple[int, ...]:
    """The tokens that are taught after a completion: how the template ends a turn, or the end token.

    What the template writes after the first end-of-turn control token, such as a line break, is not taught: the answer
    has ended. Raises `ChatTemplateMissing`, or `EndTokenMissing` where nothing ends a text.
    """
    if form.chat:
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": f"{MARK}{MARK}"}]
        _, _, after = render(tokenizer, turns, form, add_generation_prompt=False).rpartition(f"{MARK}{MARK}")
        ids = list(tokenizer(after, add_special_tokens=False)["input_ids"])
        special = set(tokenizer.convert_tokens_to_ids(control_tokens(tokenizer)))
        at = next((at for at, one in enumerate(ids) if one in special), None)
        if at is not None:
            return tuple(ids[: at + 1])
    if tokenizer.eos_token_id is None:
        raise EndTokenMissing(
            "model.base: its tokenizer has no end token (eos_token), so no answer would end; name one in "
            "tokenizer_config.json"
        )
    return (tokenizer.eos_token_id,)


class EndTokenMissing(Exception):
    """The base's tokenizer names no token that ends a text."""


def bos_missing(base: Path, tokenizer: Any) -> bool:
    """Whether the tokenizer of a model's folder omits the BOS token that the model expects."""
    return bos_expected(base, tokenizer) and tokenizer("a")["input_ids"][:1] != [tokenizer.bos_token_id]


def bos_expected(base: Path, tokenizer: Any) -> bool:
    """Whether the model was trained on texts that begin with a BOS token.

    Many models were not, and name as BOS the token that separates texts or opens a turn. So `add_bos_token` of the
    tokenizer decides; without it, a token that only ever begins a text counts if the chat template uses it.
    """
    bos = tokenizer.bos_token_id
    config = _read(base / "config.json")
    if bos in (None, tokenizer.eos_token_id) or bos != {**config, **config.get("text_config", {})}.get("bos_token_id"):
        return False
    if (setting := _read(base / "tokenizer_config.json").get("add_bos_token")) is not None:
        return bool(setting)
    name, template = tokenizer.bos_token, tokenizer.chat_template
    only_begins = any(part in name.lower() for part in BOS_NAMES)
    return only_begins and (template is None or "bos_token" in template or name in template)


def _read(file: Path) -> dict[str, Any]:
    return read_object(file) if file.is_file() else {}
