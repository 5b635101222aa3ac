"""Data sets of the Hugging Face hub, read on from where the last round ended; their own code is never run.

Files of JSON lines, JSON, CSV and Parquet are read as they are (`tasks.records`): `datasets` would guess types and give
`007` as 7.0, and one bad line would fail its whole file. Other formats are streamed by `datasets`, which cannot run a
data set's script; a set that needs one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import httpx2
from datasets import load_dataset, load_dataset_builder
from datasets.exceptions import DatasetsError
from huggingface_hub import DatasetCard, HfApi, HfFileSystem, hf_hub_download
from pyarrow import ArrowException

from schemas.base import digest
from schemas.sources import HubSource
from schemas.suites import ColumnNames
from services.data.sources.columns import Reader, Record, records_of
from services.data.sources.files import here, is_saved
from services.data.sources.rows import Provenance, now, record_sha256, sha256
from services.data.sources.source import Batch, Refused, RoundContext, SourceFailed, State, Step, skipped
from tasks.formats import FormatUnknown, Unreadable
from tasks.records import FileUnreadable, format_of, records

SCRIPT = "scripts are no longer supported"
"""The error text of `datasets` for a set that needs code."""

EDGES = 65_536
"""Bytes at the start and the end of a local file that are hashed with its size to identify it."""

FAILURES = (OSError, ValueError, RuntimeError, KeyError, ArrowException, DatasetsError, httpx2.HTTPError)
"""Errors of a hub, a network and a dozen formats."""


STREAMED = 100
"""Records that `datasets` streams at a time."""

SAMPLED = 200
"""The records at a set's start by which the roles of its columns are detected."""


@dataclass(frozen=True)
class Version:
    """The current version of a data set."""

    revision: str
    """Commit on the hub, or hash of a local folder."""
    licence: str
    """From its card."""


class Hub:
    """A source of a data set. State: `place`, with the revision, the next row, and the rows read in this round."""

    def __init__(self, spec: HubSource, context: RoundContext) -> None:
        self.name = spec.name
        self._spec, self._dataset = spec, here(spec.dataset, context)
        self._round = context.round
        self._reader = Reader(spec, context)

    def harvest(self, state: State) -> Iterator[Step]:
        """The round's quota of rows behind the state. Raises `SourceFailed` if the set cannot be read."""
        try:
            version = self._version()
            place = self._place(state.get("place", {}), version)
            yield from self._steps(self._records(version), version, place)
        except (*FAILURES, FileUnreadable) as error:
            if SCRIPT not in str(error):
                raise SourceFailed(f"{self._label}: {type(error).__name__}: {error}; check these fields") from error
            yield skipped("remote_code", self._dataset)

    def _steps(self, found: Iterator[Record], version: Version, place: Mapping[str, Any]) -> Iterator[Step]:
        spec, batch, row, failure = self._spec, Batch(), place["row"], None
        sample, failure = _sampled(found)
        roles, rest = self._roles(sample), found if failure is None else iter(())
        try:
            for record in islice(chain(sample, rest), row, row + spec.rows_per_round - place["read"]):
                uri = f"{self._dataset}@{version.revision[:12]}/{spec.split}#{row}"
                try:
                    provenance = Provenance(uri, record_sha256(record), now(), version.licence)
                    batch.add(self._reader.row(record, provenance, roles))
                except Refused as refusal:
                    batch.skip(refusal.reason, uri, record)
                row += 1
                if batch.full:
                    yield batch.step({"place": _moved(place, row)})
        except (*FAILURES, FileUnreadable) as error:
            failure = error
        if not batch.empty:
            yield batch.step({"place": _moved(place, row)})
        if failure:
            raise failure

    def _roles(self, sample: list[Record]) -> ColumnNames | None:
        """The roles of the set's columns. Raises `SourceFailed` for a column that is not there."""
        columns = list({name: None for record in sample if not isinstance(record, Unreadable) for name in record})
        try:
            return self._reader.roles(columns) if columns else None
        except FormatUnknown as error:
            raise SourceFailed(f"{self._label}: {error}") from error

    def _place(self, last: Mapping[str, Any], version: Version) -> dict[str, Any]:
        """Where to continue: at the first row if the data set has changed."""
        same = last.get("revision") == version.revision
        read = last["read"] if same and last["round"] == self._round else 0
        return {"revision": version.revision, "row": last["row"] if same else 0, "round": self._round, "read": read}

    def _records(self, version: Version) -> Iterator[Record]:
        """All records of the split, in order."""
        spec, folder = self._spec, Path(self._dataset)
        if is_saved(folder) or is_saved(folder / spec.split):
            return records(folder if is_saved(folder) else folder / spec.split)
        revision = None if folder.is_dir() else version.revision
        builder = load_dataset_builder(self._dataset, name=spec.config, revision=revision)
        files = {str(split): list(paths) for split, paths in (builder.config.data_files or {}).items()}
        if files and spec.split not in files:
            raise ValueError(f"Bad split: {spec.split}. Available splits: {sorted(files)}")
        paths = files.get(spec.split, [])
        if paths and all(_readable(path) for path in paths):
            return (record for path in paths for record in records(_local(path)))
        rows = load_dataset(self._dataset, name=spec.config, split=spec.split, revision=revision, streaming=True)
        return (record for table in rows.with_format("arrow").iter(STREAMED) for record in _of_table(table))

    def _version(self) -> Version:
        folder = Path(self._dataset)
        if folder.is_dir():
            card = folder / "README.md"
            licence = DatasetCard.load(card).data.get("license") if card.is_file() else None
            files = [_identity(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()]
            return Version(digest(files), _licence(licence))
        info = HfApi().dataset_info(self._dataset, revision=self._spec.revision)
        return Version(str(info.sha), _licence(info.card_data.get("license") if info.card_data else None))

    @property
    def _label(self) -> str:
        spec = self._spec
        return f"data.sources: {spec.name}: dataset {self._dataset!r}, config {spec.config!r}, split {spec.split!r}"


def _sampled(found: Iterator[Record]) -> tuple[list[Record], Exception | None]:
    """The first records, and the failure that ended them."""
    sample: list[Record] = []
    try:
        sample.extend(islice(found, SAMPLED))
    except (*FAILURES, FileUnreadable) as error:
        return sample, error
    return sample, None


def _readable(path: str) -> bool:
    try:
        return format_of(Path(path)) != "folder"
    except FileUnreadable:
        return False


def _local(path: str) -> Path:
    """A data file on this machine; one of the hub is fetched into its cache."""
    if "://" not in path:
        return Path(path)
    remote: Any = HfFileSystem().resolve_path(path)
    return Path(hf_hub_download(remote.repo_id, remote.path_in_repo, repo_type="dataset", revision=remote.revision))


def _of_table(table: Any) -> Iterator[Record]:
    return (record for batch in table.to_batches() for record in records_of(batch))


def _moved(place: Mapping[str, Any], row: int) -> dict[str, Any]:
    return {**place, "row": row, "read": place["read"] + row - place["row"]}


def _identity(folder: Path, file: Path) -> list[Any]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        first = opened.read(EDGES)
        opened.seek(max(0, size - EDGES))
        return [file.relative_to(folder).as_posix(), size, sha256(first + opened.read())]


def _licence(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
