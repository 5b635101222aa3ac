"""Whether a folder holds a usable model: one rule for training and for evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}
"""Environment of a process that runs model code; the libraries read it at import.

A job must depend on the files it names and not on what a hub serves that day, and no tokenizer thread may run when the
worker forks.
"""


class ModelMissing(Exception):
    """The named folder holds no Hugging Face model, or only a part of one."""


NO_TOKENIZER = "holds no tokenizer; copy tokenizer.json and tokenizer_config.json of the model into that folder"
"""What is wrong with a folder of weights alone."""


class ModelDamaged(ModelMissing):
    """A file of the model is cut short, missing from its set, unreadable, or holds something else."""


class PickledWeights(ModelMissing):
    """The weights are a pickle, which could run code when loaded; pickles are never loaded."""


TOKENIZERS = ("tokenizer.json", "vocab*", "*.model", "*.tiktoken", "tekken.json")
"""Names of vocabularies, of which a folder with a tokenizer has at least one; `tokenizer_config.json` is none."""

INDEX = "model.safetensors.index.json"
"""Which file of the weights holds which tensor, where there are several."""

OBJECTS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("generation_config.json",),
)
"""Files beside `config.json` that hold a JSON object where a model has them."""

COPY_AGAIN = "copy the model's files into that folder again"

LONGEST_REASON = 200
"""Characters of a library's message that are repeated."""

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
"""Names of pickled weights; safetensors beside them are loaded instead."""


def model_folder(path: str) -> Path:
    """The folder of a base model, after every check that reads no tensor.

    Raises `ModelMissing` without `config.json`, tokenizer or weights, `ModelDamaged`, or `PickledWeights`.
    """
    folder = Path(path)
    model_config(folder)
    if not has_tokenizer(folder):
        raise ModelMissing(f"model.base: {path!r} {NO_TOKENIZER}")
    for name in OBJECTS:
        if (folder / name).exists():
            read_object(folder / name)
    refuse_pickles(folder)
    check_weights(folder)
    return folder


def model_config(folder: Path) -> dict[str, Any]:
    """A model's `config.json`. Raises `ModelMissing` where there is none, or `ModelDamaged`."""
    file = folder / "config.json"
    if not file.exists():
        raise ModelMissing(
            f"model.base: {str(folder)!r} holds no config.json; name the folder of a Hugging Face causal LM"
        )
    return read_object(file)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a model. Raises `ModelDamaged`."""
    with damage_named(file):
        content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ModelDamaged(f"model.base: {file} holds no JSON object; {COPY_AGAIN}")
    return content


def read_header(file: Path) -> dict[str, Any]:
    """The tensors of a safetensors file by name, each with `shape` and `data_offsets`. Raises `ModelDamaged`.

    Format: https://github.com/huggingface/safetensors#format.
    """
    with damage_named(file), file.open("rb") as opened:
        size = file.stat().st_size
        length = int.from_bytes(opened.read(8), "little")
        if 8 + length > size:
            raise ValueError(f"{size:,} bytes are less than its header")
        header: dict[str, Any] = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    if size < end:
        raise ModelDamaged(f"model.base: {file} is cut short: {size:,} of {end:,} bytes; {COPY_AGAIN}")
    return header


def weight_shapes(folder: Path) -> dict[str, list[int]]:
    """The shapes of a folder's weights by name, from the headers of its safetensors. Raises `ModelDamaged`."""
    headers = [read_header(file) for file in sorted(folder.glob("*.safetensors"))]
    return {name: tensor["shape"] for header in headers for name, tensor in header.items()}


def check_weights(folder: Path) -> None:
    """Raise `ModelMissing` without weights, or `ModelDamaged` where a file is cut short or the index is wrong."""
    headers = {file.name: read_header(file) for file in sorted(folder.glob("*.safetensors"))}
    index = folder / INDEX
    if not index.exists():
        if not headers:
            raise ModelMissing(f"model.base: {str(folder)!r} holds no weights: copy its *.safetensors into that folder")
        return
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict):
        raise ModelDamaged(f"model.base: {index} holds no weight_map; {COPY_AGAIN}")
    for tensor, name in places.items():
        if name not in headers:
            raise ModelDamaged(f"model.base: {index} names {name!r}, which is not there; {COPY_AGAIN}")
        if tensor not in headers[name]:
            raise ModelDamaged(f"model.base: {folder / name} lacks the tensor {tensor!r} of {INDEX}; {COPY_AGAIN}")


@contextmanager
def damage_named(file: Path) -> Iterator[None]:
    """Raise `ModelDamaged`, with the reason, for what cannot be read as a file of a model."""
    try:
        yield
    except OSError as error:
        raise ModelDamaged(
            f"model.base: {error.filename or file} cannot be read ({error.strerror or error}); give this user the "
            f"right to read it, or {COPY_AGAIN}"
        ) from error
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelDamaged(f"model.base: {file} is damaged ({error}); {COPY_AGAIN}") from error


def load_tokenizer(folder: Path, **options: Any) -> Any:
    """The tokenizer of a model's folder. Raises `ModelDamaged` where transformers cannot make one of its files."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds to load

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **options)
    except Exception as error:  # tokenizers raises bare exceptions
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise ModelDamaged(
            f"model.base: {folder}: no tokenizer can be made of its files ({reason}); copy tokenizer.json and "
            "tokenizer_config.json of the model into that folder again"
        ) from error


@contextmanager
def misfit_named(folder: Path) -> Iterator[None]:
    """Raise `ModelDamaged` where transformers cannot build the model that a folder's files describe."""
    try:
        yield
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, RuntimeError) and "ignore_mismatched_sizes" not in str(error):
            raise  # of the device, such as too little memory
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise ModelDamaged(
            f"model.base: {folder}: transformers cannot load this model ({reason}); copy its config.json and weights "
            "into that folder again, update transformers, or choose another base"
        ) from error


def has_tokenizer(folder: Path) -> bool:
    """Whether a model's folder holds a file of a tokenizer's vocabulary."""
    return any(any(folder.glob(pattern)) for pattern in TOKENIZERS)


def refuse_pickles(folder: Path) -> None:
    """Raise `PickledWeights` if the weights of a model or an adapter exist only as a pickle.

    An adapter's pickle is always refused: the libraries load an adapter beside a base automatically.
    """
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    whole = any(folder.glob("*.safetensors")) and not any(name.startswith("adapter_model.") for name in pickles)
    if pickles and not whole:
        raise PickledWeights(
            f"{folder}: {pickles[0]} is a pickle, which could run code; convert it to safetensors, or remove it"
        )
