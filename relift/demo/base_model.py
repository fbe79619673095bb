"""Pretrain the base model of the embedded world, a small Llama, and cache it by everything that makes it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from relift.arith import corpus, tokenizer, world
from relift.arith.corpus import CorpusSpec, draw_text
from relift.arith.tokenizer import EOS_ID, PAD_ID, TOKENS, encode, write_tokenizer
from relift.errors import InputError, ReliftError, StoreError
from relift.learner.update import Component, Term, TrainSequence, Update, UpdateStats
from relift.schema import UpdateKind, seed_of

OnProgress = Callable[[int, int, float], None]  # (steps made, most steps in all, loss of the last one)


@dataclass(frozen=True)
class Phase:
    """Define a phase of the curriculum: the most steps, texts of a step, the mixture they are drawn from.

    parts: (weight, kinds of text, numbers of terms). until_loss: the phase ends once the mean loss (nats a token) of
    its last LOSS_STEPS steps is no higher.
    """

    steps: int
    batch: int
    parts: tuple[tuple[float, CorpusSpec, tuple[int, ...]], ...]
    optimizer: str = "facts"
    until_loss: float | None = None


LOSS_STEPS = 25


@dataclass(frozen=True)
class Lesson:
    """Record a phase: steps, mean loss of the last LOSS_STEPS, whether it got down to until_loss (None: no aim)."""

    steps: int
    loss: float
    learned: bool | None


@dataclass(frozen=True)
class BaseSpec:
    """Set everything that decides what the base is, but for the seed and the curriculum's shape.

    `steps` is the most it may take; phases that have learned their lesson end early.
    """

    steps: int = 2300
    first_batch: int = 64
    batch: int = 32
    terms: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    lr: float = 2e-3
    final_ratio: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_steps: int = 50
    hidden: int = 96
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 32  # vLLM's CPU backend has no kernel for hidden / heads = 24 (docs/decisions.md)
    mlp: int = 256
    context: int = 256  # tokens; the longest text of the world has about 120
    corpus: CorpusSpec = field(default_factory=CorpusSpec)


def make_base(
    folder: Path,
    *,
    seed: int,
    steps: int | None = None,
    spec: BaseSpec | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Pretrain a base model into `folder`, which must not exist: a transformers checkpoint with its tokenizer.

    `steps` replaces those of `spec`. The folder appears whole or not at all: it is written beside its place and
    renamed. Returns `folder`. Raises InputError if it exists, ReliftError if the pretraining diverged.
    """
    spec = spec or BaseSpec()
    if steps is not None:
        spec = replace(spec, steps=steps)
    if folder.exists():
        raise InputError(f"{folder} exists already; a base model is made in a new folder")
    unfinished: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        model, lessons = _pretrain(spec, seed=seed, on_progress=on_progress)
        facts = {"seed": seed, **asdict(spec), "lessons": [asdict(lesson) for lesson in lessons]}
        _save(model, unfinished, spec=spec, facts=facts)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError as error:
        raise StoreError(f"cannot write the base model to {folder}: {error.strerror or error}") from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def cached_base(
    cache_dir: Path, *, seed: int, spec: BaseSpec | None = None, on_progress: OnProgress | None = None
) -> Path:
    """Return the base model of this seed, made if `cache_dir` does not hold it yet. Two makers at once do no harm."""
    spec = spec or BaseSpec()
    folder = cache_dir / f"arith-base-{base_key(spec, seed=seed)[:16]}"
    if not folder.exists():
        try:
            make_base(folder, seed=seed, spec=spec, on_progress=on_progress)
        except (InputError, StoreError):
            if not folder.exists():  # else somebody else finished first, with the same result
                raise
    return folder


def base_key(spec: BaseSpec, *, seed: int) -> str:
    """Hash what makes a base: settings, seed, the sources of world, corpus, tokenizer and this module, torch."""
    key = hashlib.blake2b(json.dumps([asdict(spec), seed, metadata.version("torch")]).encode(), digest_size=16)
    for source in (world.__file__, corpus.__file__, tokenizer.__file__, __file__):
        key.update(Path(source).read_bytes())
    return key.hexdigest()


def curriculum(spec: BaseSpec) -> tuple[Phase, ...]:
    """Plan the phases: one digit fact a text, finding it in longer texts, the other kinds, then the corpus itself.

    Each is learned in a few hundred steps once the one before is there, but at which step it clicks depends on the
    seed; so the first three go on until their loss says so. All at once nothing is learned: after 1,200 steps of the
    whole corpus not even the facts are known (docs/log.md). The losses: slips alone leave 0.03 to 0.04.
    """
    none = replace(spec.corpus, short=0.0, careful=0.0, sequence=0.0)
    short, careful, sequence = (replace(none, **{kind: 1.0}) for kind in ("short", "careful", "sequence"))
    kinds = (
        (0.35, short, (1, 2, 3)),
        (0.30 if spec.corpus.careful else 0.0, careful, (1, 2)),
        (0.35 if spec.corpus.sequence else 0.0, sequence, (1,)),
    )
    phases = (  # share of the steps, texts of a step as a part of first_batch, what, until
        (0.24, 1.0, ((1.0, short, (1,)),), 0.065),
        (0.305, 0.75, ((0.5, short, (1,)), (0.5, short, (2,))), 0.065),
        (0.13, 0.625, ((1.0, short, (1, 2, 3)),), 0.075),
        (0.11, 0.75, kinds, None),
    )
    made = [
        Phase(round(share * spec.steps), round(part * spec.first_batch), parts, until_loss=until)
        for share, part, parts, until in phases
    ]
    left = spec.steps - sum(p.steps for p in made)
    return (*made, Phase(left, spec.batch, ((1.0, spec.corpus, spec.terms),), optimizer="corpus"))


def new_model(spec: BaseSpec, *, seed: int) -> Any:
    """Make the untrained LlamaForCausalLM (tied embeddings, no start token), float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=spec.hidden,
        intermediate_size=spec.mlp,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.kv_heads,
        head_dim=spec.head_size,
        max_position_embeddings=spec.context,
        initializer_range=spec.hidden**-0.5,  # at transformers' 0.02 the digit facts take several times the steps
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "arith.base", 0, 0, "weights", 0))
        return LlamaForCausalLM(config)


def draw_batch(rng: np.random.Generator, phase: Phase) -> tuple[TrainSequence, ...]:
    """Draw the texts of one pretraining step; the loss sees what follows the question, and the end token."""
    weights = np.cumsum([weight for weight, _, _ in phase.parts])
    sequences = []
    for _ in range(phase.batch):
        _, kinds, terms = phase.parts[int(np.searchsorted(weights / weights[-1], rng.random(), side="right"))]
        text = draw_text(rng, kinds, terms=terms)
        completion = np.array([*encode(text.completion), EOS_ID], np.int32)
        sequences.append(TrainSequence(tuple(encode(text.problem)), completion))
    return tuple(sequences)


def _pretrain(spec: BaseSpec, *, seed: int, on_progress: OnProgress | None) -> tuple[Any, list[Lesson]]:
    from relift.learner.learner import Learner
    from relift.learner.optim import OptimizerSpec

    phases = [phase for phase in curriculum(spec) if phase.steps]
    facts = OptimizerSpec(lr=spec.lr, betas=spec.betas, weight_decay=spec.weight_decay, warmup_steps=spec.warmup_steps)
    descent = replace(facts, schedule="linear", total_steps=phases[-1].steps, final_ratio=spec.final_ratio)
    model = new_model(spec, seed=seed)
    learner = Learner(model, {"facts": facts, "corpus": descent})
    rng = np.random.default_rng(seed_of(seed, "arith.base", 0, 0, "texts", 0))
    done, lessons = 0, list[Lesson]()
    for number, phase in enumerate(phases):
        most_after = sum(p.steps for p in phases[number + 1 :])
        losses: list[float] = []
        while len(losses) < phase.steps and not _learned(phase, losses):
            stats = _step(learner, phase, rng)
            done += 1
            if stats.skipped:
                raise ReliftError(f"pretraining of the base diverged at step {done} (seed {seed}): loss {stats.loss}")
            losses.append(stats.loss)
            if on_progress is not None:
                most = 0 if _learned(phase, losses) else phase.steps - len(losses)
                on_progress(done, done + most + most_after, stats.loss)
        learned = None if phase.until_loss is None else _learned(phase, losses)
        lessons.append(Lesson(len(losses), float(np.mean(losses[-LOSS_STEPS:])), learned))
    return model, lessons


def _step(learner: Any, phase: Phase, rng: np.random.Generator) -> UpdateStats:
    from relift.learner.losses import sft

    batch = draw_batch(rng, phase)
    n_tokens = sum(len(s.completion_ids_T) for s in batch)
    component = Component("demo", batch, (Term(sft(), denominator=float(n_tokens)),))
    learner.forward_backward(Update(UpdateKind.sft, phase.optimizer, (component,)))
    stats: UpdateStats = learner.optim_step(phase.optimizer)
    return stats


def _learned(phase: Phase, losses: list[float]) -> bool:
    recent = losses[-LOSS_STEPS:]
    return phase.until_loss is not None and len(recent) == LOSS_STEPS and float(np.mean(recent)) <= phase.until_loss


def _save(model: Any, folder: Path, *, spec: BaseSpec, facts: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    model.config.architectures = [type(model).__name__]  # by it other programs find the class for a path
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    weights = {name: w.contiguous() for name, w in model.state_dict().items() if name != "lm_head.weight"}  # tied
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(folder, context=spec.context)
    (folder / "base.json").write_text(json.dumps(facts, indent=2) + "\n")
    for path in folder.iterdir():  # on the disk before the rename makes them visible
        with path.open("rb") as file:
            os.fsync(file.fileno())
