"""`aevolve init`: a small campaign file from a person's model, rows and metric, with a comment on each choice.

Columns, domains, scorer, prompt and lengths are read off the files; what is guessed stands in the file as a comment, so
that it can be corrected there. Nothing is written unless the file passes every check of a campaign file.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from schemas.scores import Kind
from schemas.suites import SETS, ColumnNames, FilesSuite
from services.console.campaign_file import parse, with_task_folder
from services.console.client import settings_from_environment
from services.runtime.places import places
from services.runtime.storage.model_folders import ModelDamaged, read_object
from services.runtime.user_error import UserError
from tasks.files import Files, Loaded
from tasks.files import load as load_items
from tasks.formats import FormatUnknown, QuestionUnknown, Unreadable, domain_name
from tasks.item import Item
from tasks.records import FileUnreadable, records
from tasks.split import split_of
from tasks.suite import SuiteRefused

ROUNDS, CANDIDATES = 4, 4
"""Rounds and candidates of a first campaign."""

MOST_ITEMS = 100
"""Items per domain of a set, where its file has as many."""

SHOWN = 5
"""Domains that a message names."""

SAMPLE = 500
"""Rows whose lengths are looked at."""

SURE = 5.0
"""Points: a larger standard error of a set is noted."""

ANSWER_ALONE = "{answer}"
"""Form of rows without worked steps."""

NUMBER = re.compile(r"[-+]?[$€£]?\d[\d,]*(\.\d+)?(/\d+)?%?")
LETTER = re.compile(r"\(?[A-Ja-j]\)?\.?")


@dataclass(frozen=True)
class Answers:
    """What a person says about the campaign."""

    model: str
    """Folder or hub id of the base."""
    train: Path
    """File of training rows."""
    eval: Path | None = None
    """File of evaluation items; None to take them out of `train`."""
    target: Path | None = None
    """File of the target's items, where they differ from dev's."""
    score: str | None = None
    """Scorer; None to guess one."""
    domain_column: str | None = None
    """Column of the domain."""
    prompt_column: str | None = None
    """Column of the question; None to detect it."""
    answer_column: str | None = None
    """Column of the answer; None to detect it."""
    trace_column: str | None = None
    """Column of the worked steps; None to detect it."""
    answer_pattern: str | None = None
    """Regular expression that cuts the answer out of its column."""


def write(answers: Answers, out: Path) -> list[str]:
    """Write the campaign file; remarks on what was guessed. Raises `UserError`."""
    if out.exists():
        raise UserError(f"--out: {out} exists; remove it or name another")
    columns = _column_names(answers)
    remarks: list[str] = []
    if answers.eval is None:
        answers, more = _divided(answers, columns)
        remarks.append(more)
    train = _loaded("--train", answers.train, columns)
    name = domain_name(out.stem if out.stem != "campaign" else out.absolute().parent.name)
    suite = _suite(answers, train, out, name)
    sets = _sizes(suite, out, remarks)
    form = _form(train)
    if form == ANSWER_ALONE:
        remarks.append(
            f"{answers.train}: no column of worked steps is known: the answer alone is taught; "
            "name the column by --trace-column if there is one"
        )
    described = {
        "name": name,
        "model": _model(answers.model, train, form, remarks),
        "suite": suite,
        "source": _source(answers, train, out, name, form),
        "sets": sets,
        "domains": tuple(dict.fromkeys(item.domain for item in train.items)),
    }
    text = _text(described)
    parse(text, out, with_base=False, note=remarks.append, beside=out.absolute().parent)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    remarks += [f"{answers.train}: {n} records make no row: {reason}" for reason, n in train.refused.items()]
    return remarks


def _loaded(option: str, file: Path, columns: ColumnNames, *, traced: bool = True) -> Loaded:
    """The items of a file; one that is not `traced` may lack the column of worked steps."""
    try:
        if not traced and columns.trace and not _has(file, columns.trace):
            columns = columns.model_copy(update={"trace": None})
        return load_items(file, columns, "rows")
    except QuestionUnknown as error:
        raise UserError(
            f"{option}: no question among {error.columns}; name its column by --prompt-column, and the answer's by "
            "--answer-column"
        ) from None
    except (FileUnreadable, FormatUnknown) as error:
        raise UserError(f"{option}: {error}") from None


def _has(file: Path, column: str) -> bool:
    return any(column in record for record in records(file) if not isinstance(record, Unreadable))


def _divided(answers: Answers, columns: ColumnNames) -> tuple[Answers, str]:
    """The training file divided by hash into one of training rows and one of evaluation items, beside it."""
    loaded = _loaded("--train", answers.train, columns)
    stem = answers.train.name.partition(".")[0]
    parts = {part: answers.train.with_name(f"{stem}.{part}.jsonl") for part in ("train", "eval")}
    for file in parts.values():
        if file.exists():
            raise UserError(f"--train: {file} exists; give it with --train or --eval, or remove it")
    in_train = {(i.core) for i in loaded.items if split_of(i.domain, i.core) == "train"}
    lines: dict[str, list[str]] = {"train": [], "eval": []}
    for record in records(answers.train):
        if not isinstance(record, Unreadable) and (core := _core(record, loaded.columns)):
            lines["train" if core in in_train else "eval"].append(json.dumps(record, ensure_ascii=False, default=str))
    for part, file in parts.items():
        file.write_text("".join(f"{line}\n" for line in lines[part]), encoding="utf-8")
    remark = f"no --eval: {len(lines['train'])} rows went to {parts['train'].name}, {len(lines['eval'])} to "
    replaced = Answers(**{**vars(answers), "train": parts["train"], "eval": parts["eval"]})
    return replaced, f"{remark}{parts['eval'].name}, by a hash of the question"


def _core(record: Any, columns: ColumnNames) -> str | None:
    from tasks.formats import core_of, read  # noqa: PLC0415

    try:
        fields = read(record, columns)
    except Unreadable:
        return None
    return core_of(fields.prompt, fields.asked)


def _suite(answers: Answers, train: Loaded, out: Path, name: str) -> dict[str, Any]:
    assert answers.eval is not None
    files = {"eval": answers.eval} if answers.target is None else {"dev": answers.eval, "target": answers.target}
    options = {"eval": "--eval", "dev": "--eval", "target": "--target"}
    option_columns = _column_names(answers)
    loaded = {key: _loaded(options[key], file, option_columns, traced=False) for key, file in files.items()}
    names = next(iter(loaded.values())).columns
    if any(part.columns.trace != names.trace for part in loaded.values()):
        names = names.model_copy(update={"trace": None})
    return {
        "kind": "files",
        "name": name,
        **{key: _beside(file, out) for key, file in files.items()},
        "columns": {**names.named, **({"answer_pattern": answers.answer_pattern} if answers.answer_pattern else {})},
        "score": answers.score or _guessed_scorer([item for part in loaded.values() for item in part.items]),
    }


def _column_names(answers: Answers) -> ColumnNames:
    return ColumnNames(
        prompt=answers.prompt_column,
        answer=answers.answer_column,
        trace=answers.trace_column,
        domain=answers.domain_column,
        answer_pattern=answers.answer_pattern,
    )


def _beside(file: Path, out: Path) -> str:
    """A file's name as the campaign file has it. Raises `UserError` for a file elsewhere."""
    folder = out.absolute().parent.resolve()
    if not file.resolve().is_relative_to(folder):
        raise UserError(
            f"{file} does not lie below the campaign file's folder {folder}; move it there, or give --out in a folder "
            "above it"
        )
    return file.resolve().relative_to(folder).as_posix()


def _guessed_scorer(items: Sequence[Item]) -> str:
    """The scorer that fits the answers: numbers, letters of choices, or texts."""
    texts = [item.answer for item in items if item.answer]
    for scorer, pattern in (("numeric", NUMBER), ("choice", LETTER)):
        if texts and sum(bool(pattern.fullmatch(text.strip())) for text in texts) > 0.95 * len(texts):
            return scorer
    return "exact"


def _sizes(suite: dict[str, Any], out: Path, remarks: list[str]) -> dict[Kind, int]:
    """Items per domain of each set, as many as the smallest domain allows; remarks on what makes them few."""
    rule = FilesSuite.model_validate(suite)
    with places(with_task_folder(settings_from_environment(), out.absolute().parent)) as opened:
        try:
            files = Files(rule, opened)
            pools = files.pools
        except SuiteRefused as refused:
            raise UserError(str(refused)) from None
    sizes: dict[Kind, int] = {}
    shrunk: dict[str, list[str]] = {}
    errors: list[str] = []
    for kind, pool in pools.items():
        key = files.file_of(kind)
        domains = dict.fromkeys(item.domain for item in files.loaded[key].items) if key else {}
        rooms = {domain: len(pool.get(domain, ())) // _draws(kind) for domain in domains}
        if short := [domain for domain, room in rooms.items() if not room] or ([] if rooms else [""]):
            raise UserError(_too_few(kind, short, pool))
        size, *more = sorted(min(MOST_ITEMS, room) for room in rooms.values())
        sizes[kind] = size
        if more and 2 * size <= more[0]:
            shrunk.setdefault(min(rooms, key=lambda name: rooms[name]), []).append(
                f"{SETS[kind]} {size} instead of {more[0]}"
            )
        if (error := 50 / math.sqrt(size * len(rooms))) > SURE:
            errors.append(f"{SETS[kind]} {error:.0f} points ({size * len(rooms)} items)")
    remarks += [
        f"the domain {domain!r} has few items, and a set has as many of each domain: {', '.join(told)} of each; bring "
        "more items of it, or leave its rows out"
        for domain, told in shrunk.items()
    ]
    if errors:
        remarks.append(
            f"standard error of a score near 50 %: {', '.join(errors)}; smaller differences are chance: bring more "
            f"items, {round((50 / SURE) ** 2)} in a set give {SURE:g} points"
        )
    return sizes


def _draws(kind: Kind) -> int:
    """How often a set is drawn: confirm for the base and in each round, without an item twice."""
    return ROUNDS + 1 if kind == "confirm" else 1


def _too_few(kind: Kind, domains: Sequence[str], pool: dict[str, list[Item]]) -> str:
    left = ", ".join(f"{len(pool.get(name, ()))} of the domain {name}" if name else "0" for name in domains[:SHOWN])
    return (
        f"--eval: of the different items too few are left for the set {SETS[kind]}: {left}; {_draws(kind)} of each "
        "domain are needed: bring more items, or leave the domain column out"
    )


def _form(train: Loaded) -> str:
    """The form of what is taught: worked steps before the answer, the answer alone, or the completion as it stands."""
    columns = train.columns
    if columns.messages or columns.completion or columns.chosen or columns.answer_pattern:
        return ""
    if columns.trace:
        return "{trace}\n#### {answer}"
    return ANSWER_ALONE


def _model(base: str, train: Loaded, form: str, remarks: list[str]) -> dict[str, Any]:
    """The model with its prompt and lengths, from its tokenizer where that can be read here."""
    folder = Path(base)
    chat = any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json"))
    config = folder / "tokenizer_config.json"
    chat = chat or (config.is_file() and "chat_template" in _object(config))
    lengths = [(len(i.prompt), len(i.trace) + len(i.answer) + len(form)) for i in islice(train.items, SAMPLE)]
    prompt, answer = (max(part) for part in zip(*lengths, strict=True))
    new = _rounded(answer / 2 + 32)
    if not folder.is_dir():
        remarks.append(f"model.base: {base} is no folder here; if it is a chat model, set model.prompt.template: chat")
    named = str(folder.resolve()) if folder.is_dir() else base
    described: dict[str, Any] = {"base": named, "max_length": _rounded(prompt / 2.5 + 64) + new, "max_new_tokens": new}
    if chat:
        described["prompt"] = {"template": "chat"}
    remarks.append(
        f"model.max_length {described['max_length']}, max_new_tokens {new}: from the longest of {len(lengths)} rows"
    )
    return described


def _object(file: Path) -> dict[str, Any]:
    try:
        return read_object(file)
    except ModelDamaged as damaged:
        raise UserError(str(damaged)) from damaged


def _rounded(tokens: float) -> int:
    return max(32, -(-int(tokens) // 32) * 32)


def _source(answers: Answers, train: Loaded, out: Path, name: str, form: str) -> dict[str, Any]:
    source: dict[str, Any] = {
        "kind": "files",
        "name": "train",
        "paths": [_beside(answers.train, out)],
        "domain": name,
    }
    source |= {role: column for role, column in train.columns.named.items() if role != "domain"}
    if train.columns.domain:
        counts = Counter(item.domain for item in train.items)
        source |= {"domain_column": train.columns.domain, "domains": list(counts)}
    if answers.answer_pattern:
        source["answer_pattern"] = answers.answer_pattern
    return source | ({"form": form} if form else {})


def _text(campaign: dict[str, Any]) -> str:
    """The campaign file."""
    sets, domains = campaign["sets"], campaign["domains"]
    mix = [{"knob": f"mix.{domain}", "values": [0, 1, 2]} for domain in domains] if len(domains) > 1 else []
    preference = "chosen" in campaign["source"]
    space = [
        *mix,
        {"knob": "lr", "values": [5.0e-5, 1.0e-4, 2.0e-4, 5.0e-4], "scale": "log"},
        {"knob": "steps", "values": [50, 100, 200], "scale": "log"},
        {"knob": "rank", "values": [8, 16, 32], "scale": "log"},
    ]
    parts = [
        "# Written by `aevolve init`. Every key: docs/reference/campaign.md. Next: `aevolve try`, then `aevolve run`.",
        _yaml({"name": campaign["name"], "seed": 0}),
        "# The base model, and how it is asked in training and evaluation alike.",
        _yaml({"model": campaign["model"]}),
        "# The recipe that the first round begins with; the search changes the knobs of `space`.",
        _yaml(
            {
                "recipe": {
                    **({"method": "dpo", "beta": 0.1} if preference else {}),
                    "lr": 2.0e-4,
                    "rank": 16,
                    "alpha": 32,
                    "target_modules": ["all-linear"],
                    "steps": 100,
                    "batch": 8,
                    "traces": 1.0,
                }
            }
        ),
        "# What the loop may never change: whose items are measured, how they are scored, what may be spent.",
        _yaml(
            {
                "constitution": {
                    "suites": [campaign["suite"]],
                    "data": {"sources": [campaign["source"]]},
                    "rounds": ROUNDS,
                    "candidates": CANDIDATES,
                    "max_changes": 2,
                    "evaluation": {kind: {"items": n} for kind, n in sets.items()},
                    "budget": {
                        "external_queries": 1 + 2 * ROUNDS,
                        "candidate_seconds": 14400,
                        "round_seconds": 43200,
                        "board_seconds": 14400,
                    },
                    "space": space,
                    "drift": {"threshold": 2, "false_alarms": 0.05},
                }
            }
        ),
    ]
    return "\n".join(parts)


class _Dumper(yaml.SafeDumper):
    """YAML with short mappings on one line and line breaks in quotes."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None),
)


def _yaml(value: dict[str, Any]) -> str:
    """Each key on its own line; what it holds as short as YAML allows."""
    lines = [
        yaml.dump({key: part}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
        if isinstance(part, dict)
        else f"{key}: {json.dumps(part)}\n"
        for key, part in value.items()
    ]
    return "".join(lines)


def common_folder(files: Sequence[Path]) -> Path:
    """The folder that all files lie below."""
    return Path(os.path.commonpath([str(file.absolute().parent) for file in files]))
