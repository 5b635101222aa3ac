"""Data sets of the Hugging Face hub, streamed from where the last round ended; their own code is never run.

`datasets` 5 cannot run a data set's script, and this module does not ask for one; a set that needs one is refused.
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
from services.data.sources.rows import Provenance, from_record, now, record_sha256, sha256
from services.data.sources.source import Batch, Refused, RoundContext, SourceFailed, State, Step

SCRIPT = "scripts are no longer supported"
"""The error text of `datasets` for a set that needs code."""

EDGES = 65_536
"""Bytes at the start and the end of a local file that are hashed with its size to identify it."""

FAILURES = (OSError, ValueError, RuntimeError, KeyError, ArrowException, DatasetsError, httpx2.HTTPError)
"""Errors of a hub, a network and a dozen formats."""


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
        self._spec = spec
        self._round = context.round

    def harvest(self, state: State) -> Iterator[Step]:
        """The round's quota of rows behind the state. Raises `SourceFailed` if the set cannot be read."""
        try:
            version = self._version()
            place = self._place(state.get("place", {}), version)
            yield from self._steps(self._open(version), version, place)
        except FAILURES as error:
            if SCRIPT not in str(error):
                raise SourceFailed(f"{self._label}: {type(error).__name__}: {error}; check these fields") from error
            yield Step(skipped={"remote_code": 1})

    def _steps(self, rows: IterableDataset, version: Version, place: Mapping[str, Any]) -> Iterator[Step]:
        spec, batch, row, failure = self._spec, Batch(), place["row"], None
        try:
            for record in islice(rows.skip(row), spec.rows_per_round - place["read"]):
                uri = f"{spec.dataset}@{version.revision[:12]}/{spec.split}#{row}"
                try:
                    provenance = Provenance(uri, record_sha256(record), now(), version.licence)
                    batch.add(from_record(spec, record, provenance))
                except Refused as refusal:
                    batch.skip(refusal.reason)
                row += 1
                if batch.full:
                    yield batch.step({"place": _moved(place, row)})
        except FAILURES as error:
            failure = error
        if not batch.empty:
            yield batch.step({"place": _moved(place, row)})
        if failure:
            raise failure

    def _place(self, last: Mapping[str, Any], version: Version) -> dict[str, Any]:
        """Where to continue: at the first row if the data set has changed."""
        same = last.get("revision") == version.revision
        read = last["read"] if same and last["round"] == self._round else 0
        return {"revision": version.revision, "row": last["row"] if same else 0, "round": self._round, "read": read}

    def _open(self, version: Version) -> IterableDataset:
        spec, local = self._spec, Path(self._spec.dataset).is_dir()
        revision = None if local else version.revision
        rows = load_dataset(spec.dataset, name=spec.config, split=spec.split, revision=revision, streaming=True)
        if (present := rows.column_names) is None:
            return rows
        if missing := [column for column in spec.needed if column not in present]:
            raise SourceFailed(
                f"{self._label}: there is no column {missing[0]!r}, only {', '.join(present)}; name one of them"
            )
        return rows.select_columns([*spec.needed, *(column for column in spec.optional if column in present)])

    def _version(self) -> Version:
        folder = Path(self._spec.dataset)
        if folder.is_dir():
            card = folder / "README.md"
            licence = DatasetCard.load(card).data.get("license") if card.is_file() else None
            files = [_identity(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()]
            return Version(digest(files), _licence(licence))
        info = HfApi().dataset_info(self._spec.dataset, revision=self._spec.revision)
        return Version(str(info.sha), _licence(info.card_data.get("license") if info.card_data else None))

    @property
    def _label(self) -> str:
        spec = self._spec
        return f"data.sources: {spec.name}: dataset {spec.dataset!r}, config {spec.config!r}, split {spec.split!r}"


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
