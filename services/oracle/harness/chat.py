"""Lists of tasks in a chat: lm-eval builds the conversation, the campaign's form decides how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.prompts import Prompt
from services.runtime.prompting import render


def chat_text(tokenizer: Any, turns: Sequence[dict[str, str]], form: Prompt, *, add_generation_prompt: bool) -> str:
    """A conversation as the chat template writes it; without a generation prompt, its last turn is gone on with.

    Raises `ChatTemplateMissing`.
    """
    if add_generation_prompt:
        return render(tokenizer, turns, form, add_generation_prompt=True)
    thinking = {} if form.thinking is None else {"enable_thinking": form.thinking}
    text: str = tokenizer.apply_chat_template(
        list(turns), tokenize=False, add_generation_prompt=False, continue_final_message=True, **thinking
    )
    return text


def chat_arguments(form: Prompt) -> dict[str, Any]:
    """Arguments of lm-eval's `evaluate` for a form: none for plain text, which tasks are written for."""
    system = {"system_instruction": form.system} if form.system else {}
    return {**system, "apply_chat_template": True, "fewshot_as_multiturn": True} if form.chat else system
