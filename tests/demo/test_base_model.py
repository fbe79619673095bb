import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relift.arith.corpus import CorpusSpec
from relift.arith.tokenizer import EOS_ID, encode
from relift.demo import base_model as base
from relift.demo.base_model import BaseSpec, Phase, base_key, cached_base, curriculum, draw_batch, make_base
from relift.errors import InputError, ReliftError, StoreError

TINY = BaseSpec(steps=20, hidden=16, layers=1, heads=2, kv_heads=1, head_size=8, mlp=32, first_batch=8, batch=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A base of 20 steps and its losses."""
    losses: list[float] = []
    folder = tmp_path_factory.mktemp("bases") / "base"

    def on_progress(done: int, total: int, loss: float) -> None:
        losses.append(loss)
        assert (done, total) == (len(losses), 20)

    assert make_base(folder, seed=0, spec=TINY, on_progress=on_progress) == folder
    return folder, losses


def test_it_is_a_checkpoint_that_transformers_loads(made: tuple[Path, list[float]]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, _ = made
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert tokenizer("47+3*8-5?")["input_ids"] == encode("47+3*8-5?")
    ids = tokenizer("47+8?", return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=5, do_sample=False)
    assert out.shape[1] <= 10 and model.generation_config.eos_token_id == EOS_ID
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "base.json",
    }  # fmt: skip
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]  # TRL asks by path
    facts = json.loads((folder / "base.json").read_text())
    # 20 steps: .24, .305, .13, .11 of them rounded, and the rest; the first three had an aim and missed it
    assert [x["steps"] for x in facts["lessons"]] == [5, 6, 3, 2, 4]
    assert [x["learned"] for x in facts["lessons"]] == [False, False, False, None, None]


def test_it_learns_and_is_the_same_again(made: tuple[Path, list[float]], tmp_path: Path) -> None:
    folder, losses = made
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1
    make_base(tmp_path / "again", seed=0, spec=TINY)
    make_base(tmp_path / "other", seed=1, spec=TINY)
    weights = [(f / "model.safetensors").read_bytes() for f in (folder, tmp_path / "again", tmp_path / "other")]
    assert weights[0] == weights[1] != weights[2]


def test_the_full_size_is_what_the_documents_say() -> None:
    model = base.new_model(BaseSpec(), seed=0)
    # a layer: queries and output 2*96*128, keys and values 2*96*64, 3*96*256 and 2*96 make 110,784; three of them, the
    # last norm 96, 32 embeddings of 96
    assert sum(p.numel() for p in model.parameters()) == 3 * 110_784 + 96 + 32 * 96 == 335_520
    # 4 heads of 32 over 2 key-value heads: a size that vLLM's CPU backend has a kernel for, unlike 96 / 4
    attention = model.model.layers[0].self_attn
    assert [p.out_features for p in (attention.q_proj, attention.k_proj, attention.v_proj)] == [4 * 32, 2 * 32, 2 * 32]
    assert (model.config.head_dim, model.config.num_key_value_heads) == (32, 2)


def test_the_curriculum_begins_with_the_digit_facts_and_ends_with_the_corpus() -> None:
    spec = BaseSpec()
    phases = curriculum(spec)
    assert sum(p.steps for p in phases) == spec.steps and all(p.steps > 100 for p in phases)
    rng = np.random.default_rng(0)
    first = draw_batch(rng, phases[0])
    assert len(first) == 64 and {len(s.prompt_ids) for s in first} == {5}  # 47+8?
    assert {s.completion_ids_T[0] for s in first} == {encode("=")[0]}
    assert phases[-1].parts == ((1.0, spec.corpus, (1, 2, 3, 4, 5, 6)),)
    last = draw_batch(rng, phases[-1])
    assert len(last) == 32 and len({len(s.prompt_ids) for s in last}) > 3
    assert {int(s.completion_ids_T[-1]) for s in first + last} == {EOS_ID}


def test_a_phase_ends_when_its_loss_is_low_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # losses of the tiny base start near ln 32 = 3.5 and fall: aims of 9, none, 0 nats end after 25, 30, 30 steps
    _, corpus, terms = curriculum(TINY)[0].parts[0]
    aims = [Phase(30, 4, ((1.0, corpus, terms),), until_loss=aim) for aim in (9.0, None, 0.0)]
    monkeypatch.setattr(base, "curriculum", lambda spec: aims)
    totals: list[tuple[int, int]] = []
    folder = make_base(tmp_path / "b", seed=0, spec=TINY, on_progress=lambda *p: totals.append(p[:2]))
    lessons = json.loads((folder / "base.json").read_text())["lessons"]
    assert [(x["steps"], x["learned"]) for x in lessons] == [(25, True), (30, None), (30, False)]
    assert totals[0] == (1, 90) and totals[23] == (24, 90) and totals[24] == (25, 85) and totals[-1] == (85, 85)


@pytest.mark.parametrize("kind", ["careful", "sequence"])
def test_a_kind_that_the_corpus_lacks_is_never_shown(kind: str) -> None:
    spec = BaseSpec(corpus=replace(CorpusSpec(slip_plus=0.5), **{kind: 0.0}))
    for phase in curriculum(spec):
        for weight, corpus, _ in phase.parts:
            assert weight == 0.0 or getattr(corpus, kind) == 0.0
            assert corpus.slip_plus == 0.5  # slips are the corpus's own in every phase


def test_a_cached_base_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(TINY, steps=2)
    folder = cached_base(tmp_path, seed=0, spec=spec)
    monkeypatch.setattr(base, "make_base", None)  # calling it would raise
    assert cached_base(tmp_path, seed=0, spec=spec) == folder


def test_the_key_knows_what_makes_a_base() -> None:
    specs = [TINY, replace(TINY, lr=1e-3), replace(TINY, corpus=CorpusSpec(careful=0.0))]
    assert len({base_key(spec, seed=seed) for spec in specs for seed in (0, 1)}) == 6


def test_an_interrupted_making_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(folder: Path, *, context: int) -> None:
        raise KeyboardInterrupt

    spec = replace(TINY, steps=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(base, "write_tokenizer", interrupt)
        make_base(tmp_path / "base", seed=0, spec=spec)
    assert not list(tmp_path.iterdir())

    def no_space(folder: Path, *, context: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StoreError, match="cannot write the base model.*No space left"):
        patch.setattr(base, "write_tokenizer", no_space)
        make_base(tmp_path / "base", seed=0, spec=spec)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_noticed_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(base, "_pretrain", None)  # calling it would raise
    with pytest.raises(StoreError, match="cannot write the base model to .*file"):
        make_base(tmp_path / "file" / "base", seed=0, spec=TINY)


def test_two_makers_at_once_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(TINY, steps=1)
    make, taken = base.make_base, []

    def overtaken(folder: Path, **how: Any) -> Path:
        taken.append(make(folder, **how))  # the other one finishes first
        return make(folder, **how)

    monkeypatch.setattr(base, "make_base", overtaken)
    assert [cached_base(tmp_path, seed=0, spec=spec)] == taken


def test_an_existing_folder_and_a_diverging_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        make_base(tmp_path, seed=0, spec=TINY)
    with pytest.raises(ReliftError, match="diverged at step 1 .seed 0.: loss"):
        make_base(tmp_path / "base", seed=0, spec=replace(TINY, lr=float("inf"), warmup_steps=0))
    assert not list(tmp_path.iterdir())
