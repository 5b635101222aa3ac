"""Data sets of the Hugging Face hub, streamed from where the last round ended, never with code of their own.

`datasets` 5 has no way left to run a data set's script, and this module asks for none; a set that has one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
from datasets import IterableDataset, load_dataset
from datasets.exceptions import DatasetsError
from huggingface_hub import DatasetCard, HfApi
from pyarrow import ArrowException

from schemas.base import digest
from schemas.sources import HubSource
from services.data.sources.batch import Batch
from services.data.sources.refusal import Refused
from services.data.sources.rows import Found, from_record, now, record_sha256, sha256
from services.data.sources.source import SourceFailed, State, Step

SCRIPT = "scripts are no longer supported"
"""How `datasets` says that it would have had to run code."""

ENDS = 65_536
"""Bytes at the begin and the end of a local file that are hashed, with its size, to know it again."""

FAILURES = (OSError, ValueError, RuntimeError, KeyError, ArrowException, DatasetsError, httpx2.HTTPError)
"""What a hub, a network and a dozen formats raise."""


@dataclass(frozen=True)
class Version:
    """What a data set is at the moment."""

    revision: str
    """Commit of the hub, or hash of a local folder."""
    licence: str
    """As its card says."""


class Hub:
    """A source of a data set. State: `place`, the revision, the next row, and how many this round has read."""

    def __init__(self, spec: HubSource, round_: int, seed: int) -> None:
        self.name = spec.name
        self._spec = spec
        self._round = round_

    def harvest(self, state: State) -> Iterator[Step]:
        """The round's share of rows behind the state's. Raises `SourceFailed` where the set cannot be read."""
        try:
            version = self._version()
            place = self._place(state.get("place", {}), version)
            yield from self._steps(self._open(version), version, place)
        except FAILURES as error:
            if SCRIPT not in str(error):
                raise SourceFailed(f"{self._called}: {type(error).__name__}: {error}; check these fields") from error
            yield Step(skipped={"remote_code": 1})

    def _steps(self, rows: IterableDataset, version: Version, place: Mapping[str, Any]) -> Iterator[Step]:
        batch, row, failure = Batch(), place["row"], None
        try:
            for record in islice(rows.skip(row), self._spec.rows_per_round - place["read"]):
                self._take(batch, record, version, row)
                row += 1
                if batch.full:
                    yield batch.step({"place": _moved(place, row)})
        except FAILURES as error:
            failure = error
        if not batch.empty:
            yield batch.step({"place": _moved(place, row)})
        if failure:
            raise failure

    def _take(self, batch: Batch, record: Mapping[str, Any], version: Version, row: int) -> None:
        uri = f"{self._spec.dataset}@{version.revision[:12]}/{self._spec.split}#{row}"
        found = Found(uri, record_sha256(record), now(), version.licence)
        try:
            batch.add(from_record(self._spec, record, found))
        except Refused as refusal:
            batch.skip(refusal.reason)

    def _place(self, known: Mapping[str, Any], version: Version) -> dict[str, Any]:
        """Where to read on: at the first row, where the data set is another than before."""
        same = known.get("revision") == version.revision
        read = known["read"] if same and known["round"] == self._round else 0
        row = known["row"] if same else 0
        return {"revision": version.revision, "row": row, "round": self._round, "read": read}

    def _open(self, version: Version) -> IterableDataset:
        spec, local = self._spec, Path(self._spec.dataset).is_dir()
        revision = None if local else version.revision
        rows = load_dataset(spec.dataset, name=spec.config, split=spec.split, revision=revision, streaming=True)
        if (has := rows.column_names) is None:
            return rows
        if missing := [column for column in spec.needed if column not in has]:
            raise SourceFailed(
                f"{self._called}: there is no column {missing[0]!r}, only {', '.join(has)}; name one of them"
            )
        return rows.select_columns([*spec.needed, *(column for column in spec.optional if column in has)])

    def _version(self) -> Version:
        folder = Path(self._spec.dataset)
        if folder.is_dir():
            card = folder / "README.md"
            licence = DatasetCard.load(card).data.get("license") if card.is_file() else None
            return Version(
                digest([_about(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()]), _words(licence)
            )
        info = HfApi().dataset_info(self._spec.dataset, revision=self._spec.revision)
        return Version(str(info.sha), _words(info.card_data.get("license") if info.card_data else None))

    @property
    def _called(self) -> str:
        spec = self._spec
        return f"data.sources: {spec.name}: dataset {spec.dataset!r}, config {spec.config!r}, split {spec.split!r}"


def _moved(place: Mapping[str, Any], row: int) -> dict[str, Any]:
    return {**place, "row": row, "read": place["read"] + row - place["row"]}


def _about(folder: Path, file: Path) -> list[Any]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        first = opened.read(ENDS)
        opened.seek(max(0, size - ENDS))
        return [file.relative_to(folder).as_posix(), size, sha256(first + opened.read())]


def _words(licence: Any) -> str:
    return " ".join(map(str, licence)) if isinstance(licence, list) else str(licence or "")
