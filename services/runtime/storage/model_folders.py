"""The one place that decides whether a folder holds a model, for those who train it and those who measure it."""

from __future__ import annotations

from pathlib import Path

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
}
"""Environment of a process that runs model code; the libraries read it when they are imported.

A job must depend on the files it names and on nothing that a hub serves that day; and the tokenizer's threads must not
be alive when the worker forks.
"""


class ModelMissing(Exception):
    """The named folder holds no Hugging Face model."""


class PickledWeights(ModelMissing):
    """Weights lie there as a pickle, which could run code when it is read; none is ever read."""


PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
"""Names of weights that are pickled; where safetensors lie beside them, those are read instead."""


def model_folder(path: str) -> Path:
    """The folder of a base model. Raises `ModelMissing` where it has no `config.json`, or `PickledWeights`."""
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise ModelMissing(f"model.base: {path!r} holds no config.json; name the folder of a Hugging Face causal LM")
    refuse_pickles(folder)
    return folder


def refuse_pickles(folder: Path) -> None:
    """Raise `PickledWeights` where a model's or an adapter's weights are there as a pickle alone.

    An adapter's pickle is refused in any case: the libraries read an adapter that lies beside a base without being
    asked.
    """
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    whole = any(folder.glob("*.safetensors")) and not any(name.startswith("adapter_model.") for name in pickles)
    if pickles and not whole:
        raise PickledWeights(
            f"{folder}: {pickles[0]} is a pickle, which could run code; convert it to safetensors, or remove it"
        )
