"""Whether a folder holds a usable model: one rule for training and for evaluation."""

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
"""Environment of a process that runs model code; the libraries read it at import.

A job must depend on the files it names and not on what a hub serves that day, and no tokenizer thread may run when the
worker forks.
"""


class ModelMissing(Exception):
    """The named folder holds no Hugging Face model."""


NO_TOKENIZER = "holds no tokenizer; copy tokenizer.json and tokenizer_config.json of the model into that folder"
"""What is wrong with a folder of weights alone."""


class PickledWeights(ModelMissing):
    """The weights are a pickle, which could run code when loaded; pickles are never loaded."""


TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "tekken.json")
"""Names of files of which a folder with a tokenizer has at least one."""

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
"""Names of pickled weights; safetensors beside them are loaded instead."""


def model_folder(path: str) -> Path:
    """The folder of a base model. Raises `ModelMissing` without `config.json` or tokenizer, or `PickledWeights`."""
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise ModelMissing(f"model.base: {path!r} holds no config.json; name the folder of a Hugging Face causal LM")
    if not has_tokenizer(folder):
        raise ModelMissing(f"model.base: {path!r} {NO_TOKENIZER}")
    refuse_pickles(folder)
    return folder


def has_tokenizer(folder: Path) -> bool:
    """Whether a model's folder holds a file of a tokenizer."""
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
