"""Check what a MODEL argument names, and what of a checkpoint is its content."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relift.engines.context import AS_PUBLISHED, Positions
from relift.engines.model_source import ModelSource, content_fingerprint, resolve_model
from relift.errors import InputError, StoreError
from relift.fingerprints import files_fingerprint
from relift.store import RunWriter
from tests.store.rows import RUN, questions


def write_run(
    folder: Path, *, steps: tuple[int, ...] = (0, 3, 6), base: Path | None = None, model_lines: str = "", **facts: Any
) -> Path:
    """A run with a checkpoint at each step: model files that differ, and the trainer's state."""
    model = "" if base is None else f"[model]\npath = {str(base)!r}\n{model_lines}"
    with RunWriter(folder) as writer:
        writer.start(replace(RUN, **facts), config_toml=model, questions=questions(), demonstrations=None)
        for step in steps:
            writer.commit(step)

            def write(where: Path, step: int = step) -> None:
                (where / "model.safetensors").write_bytes(b"weights %d" % step)
                (where / "config.json").write_text("{}")
                (where / "state.tensors").write_bytes(b"moments")

            writer.save_checkpoint(step, write, info={})
    return folder


def base_folder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text(f'{{"{name}": 1}}')
    return folder


def test_a_folder_is_itself(tmp_path: Path) -> None:
    folder = base_folder(tmp_path / "my model@3")
    assert resolve_model(str(folder)) == ModelSource(str(folder), None, "my-model-3")


def test_a_hub_id_with_its_revision() -> None:
    assert resolve_model("owner/name-1.5B", revision="v2") == ModelSource("owner/name-1.5B", "v2", "name-1.5B")
    assert resolve_model("gpt2").name == "gpt2"


def test_a_run_is_its_newest_good_checkpoint(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    weights = run / "weights"
    assert resolve_model(str(run)) == ModelSource(str(weights / "step-000006"), None, "run-step6", "run-1", 6)
    assert resolve_model(f"{run}@3") == ModelSource(str(weights / "step-000003"), None, "run-step3", "run-1", 3)
    assert resolve_model(f"{run}@0").step == 0
    assert resolve_model(str(weights / "step-000003")) == resolve_model(f"{run}@3")
    (weights / "step-000006" / "model.safetensors").write_bytes(b"weights 7")
    events: list[str] = []
    assert resolve_model(str(run), on_event=events.append).step == 3
    assert len(events) == 1 and "passing over a checkpoint" in events[0] and "model.safetensors: damaged" in events[0]
    with pytest.raises(StoreError, match="damaged"):
        resolve_model(f"{run}@6")
    with pytest.raises(StoreError, match="damaged"):
        resolve_model(str(weights / "step-000006"))


def test_step_0_may_be_the_base_that_the_run_began_from(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base")
    identity = {"model": files_fingerprint(base, ("*.safetensors", "config.json"))}
    run = write_run(tmp_path / "run", steps=(3,), base=base, identity=identity)
    assert resolve_model(f"{run}@0") == ModelSource(str(base), None, "run-step0", "run-1", 0)
    (base / "model.safetensors").write_text("other")
    with pytest.raises(InputError, match="is not the base model it began from: its files changed"):
        resolve_model(f"{run}@0")
    shutil.rmtree(base)
    with pytest.raises(InputError, match="its base model was .*, which is not there"):
        resolve_model(f"{run}@0")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RUN@5", "no checkpoint of step 5 there; there are: 0, 3, 6"),
        ("RUN@last", "'last' is no step of a training run: write RUN@STEP"),
        ("RUN/weights", "neither config.json nor run.json there"),
        ("EMPTY", "a run without a checkpoint to load"),
        ("EVAL", "an evaluation without a checkpoint to load"),
        ("./nowhere", "there is no such folder"),
        ("a/b/c", "there is no such folder"),
        ("", "MODEL is empty"),
    ],
)
def test_what_names_nothing(name: str, message: str, tmp_path: Path) -> None:
    write_run(tmp_path / "RUN")
    write_run(tmp_path / "EMPTY", steps=())
    write_run(tmp_path / "EVAL", steps=(), kind="eval")
    named = str(tmp_path / name) if name[:1].isupper() else name
    with pytest.raises(InputError) as error:
        resolve_model(named)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder has none"):
        resolve_model(str(base_folder(tmp_path / "m")), revision="v1")


def test_everything_that_answers_is_content(tmp_path: Path) -> None:
    folder = base_folder(tmp_path / "m")
    seen = [content_fingerprint(str(folder))]
    for name in ("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).write_text(json.dumps({"new": name}))
        seen.append(content_fingerprint(str(folder)))
    (folder / "model.safetensors").rename(folder / "model-2.safetensors")
    seen.append(content_fingerprint(str(folder)))
    assert len(set(seen)) == len(seen) == 7 and all(len(each) == 64 for each in seen)
    for name in ("state.tensors", "README.md", "state.json", "manifest.json"):
        (folder / name).write_text("x")
    assert content_fingerprint(str(folder)) == seen[-1]


def test_a_hub_model_that_nobody_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="MODEL 'owner/none': cannot be had from the hub: ") as error:
        content_fingerprint("owner/none")
    assert "\n" not in str(error.value)


def test_a_hub_model_is_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download",
        lambda path, name, revision: f"/c/models--o--n/snapshots/{revision}abc/{name}",
    )
    assert content_fingerprint("o/n", revision="f00") == "hub:f00abc"


def test_the_base_of_a_run_has_the_positions_of_the_run(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base")
    identity = {"model": files_fingerprint(base, ("*.safetensors", "config.json"))}
    older = write_run(tmp_path / "older", steps=(), base=base, identity=identity)
    assert resolve_model(f"{older}@0").positions == AS_PUBLISHED
    lines = 'max_positions = 16384\nrope_theta = "none"\n'
    run = write_run(tmp_path / "run", steps=(), base=base, model_lines=lines, identity=identity)
    assert resolve_model(f"{run}@0").positions == Positions(16384, None)
