"""Reads a campaign file so that every mistake in it is told at once, one line each: `field: value; what to do`."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from judgement.search.registry import POLICIES
from schemas.campaign import DOMAINS, Campaign, Constitution, Model
from schemas.rows import form_mistake
from schemas.sources import FilesSource
from services.console.bounded_yaml import read_file, read_mapping
from services.data.plugins import PluginInvalid, check_plugins
from services.runtime.folders import FolderRefused, task_folder
from services.runtime.settings import Settings, cache_folder
from services.runtime.storage.hub_models import HUB_ID, hub_folder, is_fetched
from services.runtime.storage.model_folders import ModelMissing, model_folder
from services.runtime.user_error import UserError, nearest
from services.trainer.registry import training_mistakes
from tasks.item import Item
from tasks.suite import Places

OVERRIDES: Mapping[str, tuple[str, ...]] = {
    "seed": ("seed",),
    "null_twin": ("null_twin",),
    "base": ("model", "base"),
    "rounds": ("constitution", "rounds"),
    "candidates": ("constitution", "candidates"),
}
"""Where the options of the commands stand in the file."""


PLAIN_TEXT = (".txt", ".md")
"""Suffixes of files that hold no records."""

LONGEST_VALUE = 200
"""Characters of a wrong value that a message repeats."""


Note = Callable[[str], object]
"""Takes a remark about a campaign that may start."""


def load(path: Path, *, with_base: bool = True, note: Note | None = None, **overrides: Any) -> Campaign:
    """The campaign that the file describes, with the options that are not None in place of its own values.

    Files that its suites name are sought beside the campaign file, too. `with_base=False` skips the check of the base;
    `note` gets remarks, such as records without a usable answer. Raises `UserError` with one line per mistake: field,
    value, remedy.
    """
    folder = path.absolute().parent
    return parse(read_file(path), path, with_base=with_base, note=note, beside=folder, **overrides)


def parse(
    text: str,
    path: Path,
    *,
    with_base: bool = True,
    note: Note | None = None,
    beside: Path | None = None,
    **overrides: Any,
) -> Campaign:
    """The campaign that a file's text describes, as `load`; messages call the file by its path, which is not opened.

    What the campaign names is also sought in the folder `beside`; without it in the folders of the settings alone.
    """
    data = read_mapping(text, path, f"a campaign is a mapping with the keys {_keys(Campaign)}")
    for option, value in overrides.items():
        if value is not None:
            _put(data, OVERRIDES[option], value)
    try:
        campaign = Campaign.model_validate(data)
    except ValidationError as error:
        raise UserError("\n".join(_lines(path, error))) from error
    if mistakes := training_mistakes(campaign):
        raise UserError("\n".join(f"{path}: {mistake}" for mistake in mistakes))
    campaign = _with_base_beside(beside, campaign) if beside else campaign
    if with_base:
        _check_base(path, campaign.model)
    _check_search(path, campaign.constitution.search)
    if not campaign.constitution.suites:
        _check_domains(path, campaign.constitution.domains)
    _check_rows(path, campaign.constitution)
    _check_forms(path, campaign.constitution)
    _check_folders(path, campaign.constitution)
    _check_plugins(path, campaign.constitution)
    return _pinned(path, beside, campaign, note)


def _put(data: dict[str, Any], where: tuple[str, ...], value: Any) -> None:
    *parents, last = where
    for parent in parents:
        data = data.setdefault(parent, {})
    if isinstance(data, dict):  # what is no mapping here is told by the validation
        data[last] = value


def _with_base_beside(folder: Path, campaign: Campaign) -> Campaign:
    """The campaign with its base taken from the campaign file's folder if the working folder has none of that name."""
    base, beside = campaign.model.base, folder / campaign.model.base
    if (Path(base) / "config.json").is_file() or not (beside / "config.json").is_file():
        return campaign
    return campaign.model_copy(update={"model": campaign.model.model_copy(update={"base": str(beside)})})


def _check_base(path: Path, model: Model) -> None:
    fetched = is_fetched(model)
    if (Path(model.base) / "config.json").exists() or fetched:
        try:
            model_folder(str(hub_folder(model.base, model.revision, cache_folder())) if fetched else model.base)
        except ModelMissing as missing:
            raise UserError(f"{path}: {missing}") from missing
        return
    if model.base == "tiny":
        return
    if HUB_ID.fullmatch(model.base) and not Path(model.base).is_dir():
        revision = f" --revision {model.revision}" if model.revision else ""
        raise UserError(
            f"{path}: model.base: {model.base!r} is not on this machine; run `aevolve fetch {model.base}{revision}`"
        )
    raise UserError(
        f"{path}: model.base: {model.base!r}; no config.json lies there: "
        "give the folder of a Hugging Face causal language model, its id on the hub, or `tiny`, which is made here"
    )


def _pinned(path: Path, beside: Path | None, campaign: Campaign, note: Note | None) -> Campaign:
    """The campaign with what it records of its suites."""
    if not campaign.constitution.suites:
        return campaign
    from services.console.client import settings_from_environment  # noqa: PLC0415 - loads numpy
    from services.runtime.places import places  # noqa: PLC0415
    from tasks.check import pinned  # noqa: PLC0415
    from tasks.suite import SuiteRefused  # noqa: PLC0415

    with places(with_task_folder(settings_from_environment(), beside)) as opened:
        try:
            checked = pinned(campaign, opened, training_rows(campaign, opened))
        except SuiteRefused as refused:
            raise UserError("\n".join(f"{path}: constitution.{line}" for line in str(refused).splitlines())) from None
    if note:
        for remark in checked.notes:
            note(remark)
    return checked.campaign


def with_task_folder(settings: Settings, folder: Path | None) -> Settings:
    """The settings of a process that also finds what lies in a folder, such as that of a campaign file."""
    if folder is None:
        return settings
    folders = [settings.task_path or str(Path.cwd()), str(folder)]
    return settings.model_copy(update={"task_path": os.pathsep.join(folders)})


def training_rows(campaign: Campaign, places: Places) -> dict[str, list[Item]]:
    """The rows of the campaign's sources of files that can be read here, as items; plain texts are left out.

    A file that is not here is checked by the data service, if that may be on another machine. Raises `SuiteRefused` for
    a file that holds no row, or that no process will find.
    """
    from schemas.suites import ColumnNames  # noqa: PLC0415
    from services.console.client import ADDRESSES  # noqa: PLC0415
    from tasks.files import load as load_items  # noqa: PLC0415
    from tasks.formats import FormatUnknown  # noqa: PLC0415
    from tasks.records import FileUnreadable  # noqa: PLC0415
    from tasks.suite import SuiteRefused  # noqa: PLC0415

    rows: dict[str, list[Item]] = {}
    for source in campaign.constitution.data.sources if campaign.constitution.data else ():
        if not isinstance(source, FilesSource):
            continue
        columns = ColumnNames(**source.named, domain=source.domain_column, answer_pattern=source.answer_pattern)
        for name in source.paths:
            try:
                file = places.items(name)
            except SuiteRefused:
                if glob.has_magic(name) or ADDRESSES & os.environ.keys():
                    continue
                raise SuiteRefused(f"data.sources.{source.name}.paths: {name!r} does not exist") from None
            if file.suffix in PLAIN_TEXT:
                continue
            try:
                rows.setdefault(source.name, []).extend(load_items(file, columns, source.domain).items)
            except FormatUnknown as error:
                if source.named:  # else its records are plain texts
                    raise SuiteRefused(f"data.sources.{source.name}.{error}") from error
            except FileUnreadable as error:
                raise SuiteRefused(f"data.sources.{source.name}: {error}") from error
    return rows


def _check_search(path: Path, search: str) -> None:
    if search not in POLICIES.names():
        raise UserError(f"{path}: {POLICIES.unknown(search)}")


def _check_domains(path: Path, domains: Iterable[str]) -> None:
    for domain in domains:
        if domain not in DOMAINS:
            raise UserError(f"{path}: constitution.domains: {domain!r}; known: {', '.join(DOMAINS)}")


def _check_rows(path: Path, law: Constitution) -> None:
    if law.data and law.data.rows < len(law.data.domains):
        domains = law.data.domains
        raise UserError(
            f"{path}: constitution.data.rows: {law.data.rows}; each of the {len(domains)} domains {', '.join(domains)} "
            f"needs a row: raise it to {len(domains)} or more, or leave domains out"
        )


def _check_forms(path: Path, law: Constitution) -> None:
    """Checked here and not by the schema: an earlier release recorded such forms, and its logs must open."""
    mistakes = [
        f"{path}: constitution.data.sources.{source.name}.form: {form!r}; {mistake}"
        for source in (law.data.sources if law.data else ())
        if (form := getattr(source, "form", "")) and (mistake := form_mistake(form))
    ]
    if mistakes:
        raise UserError("\n".join(mistakes))


def _check_folders(path: Path, law: Constitution) -> None:
    lists = {f"guards.{i}": guard for i, guard in enumerate(law.guards)} | ({"target": law.target} if law.lists else {})
    for field, listed in lists.items():
        include = getattr(listed, "include", None)
        if include:
            from services.console.client import settings_from_environment  # noqa: PLC0415 - loads numpy

            try:
                task_folder(include, settings_from_environment())
            except FolderRefused as refused:
                raise UserError(f"{path}: constitution.{field}.include: {refused}") from refused


def _check_plugins(path: Path, law: Constitution) -> None:
    """Whether the plug-ins that collect and filter data are installed here and accept their options."""
    try:
        if law.data:
            check_plugins(law.data)
    except PluginInvalid as error:
        raise UserError(f"{path}: constitution.{error}") from error


def _lines(path: Path, error: ValidationError) -> Iterator[str]:
    details = error.errors()
    for detail in details:
        if detail["type"] == "too_short" and any(_inside(detail["loc"], other["loc"]) for other in details):
            continue  # a tuple without its wrong entries seems empty
        yield f"{path}: {_field(detail['loc'])}: {_remedy(detail)}"


def _inside(place: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    return len(other) > len(place) and other[: len(place)] == place


def _remedy(detail: ErrorDetails) -> str:
    model = _model(detail["loc"][:-1])
    if detail["type"] == "extra_forbidden":
        return f"unknown key; {nearest(str(detail['loc'][-1]), model.model_fields)}"
    if detail["type"] == "missing":
        return f"missing; {_meaning(model, detail['loc'])}"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    value = detail["input"]
    if detail["type"] in ("target", "source", "suite") and isinstance(value, dict):
        value = value.get("kind")
    shown = repr(value)
    shown = shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}..."
    return message if isinstance(value, dict) else f"{shown}; {message}"


def _meaning(model: type[BaseModel], where: tuple[int | str, ...]) -> str:
    field = model.model_fields[str(where[-1])]
    return field.description or _keys(model)


def _model(where: tuple[int | str, ...]) -> type[BaseModel]:
    """The model at a location inside the file; indices of tuples are skipped."""
    model: type[BaseModel] = Campaign
    forms: Mapping[str, type[BaseModel]] = {}
    for part in where:
        if part in forms:
            model, forms = forms[str(part)], {}
        elif isinstance(part, str) and part in model.model_fields:
            models = list(_models(model.model_fields[part].annotation))
            forms = _forms(models)
            model = models[0] if models else model
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _forms(models: Iterable[type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """The forms of a target by their `kind`, which a location names although no key of the file does."""
    return {str(model.model_fields["kind"].default): model for model in models if "kind" in model.model_fields}


def _field(where: tuple[int | str, ...]) -> str:
    """A location as the file has it."""
    parts = [part for i, part in enumerate(where) if part not in _kinds(where[:i])]
    return ".".join(str(part) for part in parts) or "constitution"


def _kinds(where: tuple[int | str, ...]) -> set[str]:
    """Tags that may follow a location: those of the forms of its last field, or of an entry of it."""
    while where and isinstance(where[-1], int):
        where = where[:-1]
    if not where or (field := _model(where[:-1]).model_fields.get(str(where[-1]))) is None:
        return set()
    return set(_forms(_models(field.annotation)))


def _keys(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)
