"""The table itself: complete, without doubles, and honest about what is not known."""

import re

import pytest

from relift.benchmarks.benchmark import Benchmark
from relift.benchmarks.load import find_benchmark, find_benchmarks
from relift.benchmarks.protocols import PROTOCOLS
from relift.benchmarks.table import BENCHMARKS, GROUPS
from relift.errors import InputError
from relift.grading import GRADERS, SCORERS
from relift.prompts import TEMPLATES

EVERY = [pytest.param(benchmark, id=name) for name, benchmark in BENCHMARKS.items()]


def test_the_promised_benchmarks_are_there() -> None:
    assert set(BENCHMARKS) >= {
        "aime24", "aime25", "aime26", "amc", "amc23", "math500", "minerva", "olympiad", "hmmt_feb25", "hmmt_nov25",
        "hmmt_feb26", "brumo25", "mmlu_pro", "gpqa_diamond", "arc_c", "arith_test", "arith_longer",
        "arith_two_products", "arith_sequence", "gsm8k", "apex25", "apex_shortlist25", "arxivmath_dec25",
        "arxivmath_jan26", "arxivmath_feb26",
    }  # fmt: skip
    assert all(name == benchmark.name for name, benchmark in BENCHMARKS.items())
    assert len({benchmark.title for benchmark in BENCHMARKS.values()}) == len(BENCHMARKS)


@pytest.mark.parametrize("benchmark", EVERY)
def test_every_entry_is_complete(benchmark: Benchmark) -> None:
    assert re.fullmatch(r"[a-z0-9_]+", benchmark.name) and benchmark.title and benchmark.sources
    assert benchmark.answer_kind in SCORERS
    assert benchmark.rows > 0 and benchmark.samples > 0 and benchmark.split
    assert benchmark.template is None or benchmark.template in TEMPLATES
    assert any(source.startswith("samples:") or "samples:" in source for source in benchmark.sources)
    if benchmark.hub is None:
        assert benchmark.content_hash and benchmark.revision is None and benchmark.template == "plain"
    else:
        assert re.fullmatch(r"[\w-]+/[\w.-]+", benchmark.hub) and benchmark.config and "problem" in benchmark.columns
        assert benchmark.revision is None or re.fullmatch(r"[0-9a-f]{40}", benchmark.revision)
        said = any("revision" in source for source in benchmark.sources)
        assert said, "whoever pins a revision says where it comes from, and whoever does not says so"
    for text in (benchmark.content_hash, *benchmark.gold_repairs, *benchmark.unreadable_golds):
        assert text is None or re.fullmatch(r"[0-9a-f]{32}", text)


def test_what_is_not_known_is_not_claimed() -> None:
    """No revision of OlympiadBench was found, and only sets of which a copy was read have a hash."""
    assert BENCHMARKS["olympiad"].revision is None and not BENCHMARKS["olympiad"].pinned
    for benchmark in BENCHMARKS.values():
        sourced = any(source.startswith("content hash:") for source in benchmark.sources)
        assert sourced == (benchmark.content_hash is not None and benchmark.hub is not None), benchmark.name


def test_groups() -> None:
    assert GROUPS["paper"] == ("aime24", "aime25", "amc", "math500", "olympiad", "mmlu_pro")
    assert set(GROUPS["ood"]) >= {"mmlu_pro", "gpqa_diamond", "arc_c"}
    assert set(GROUPS["math"]) | set(GROUPS["ood"]) | set(GROUPS["arith"]) == set(GROUPS["all"])
    assert not set(GROUPS) & set(BENCHMARKS), "a name means one thing"


def test_names_and_groups_are_found_once_each_in_order() -> None:
    found = find_benchmarks(["amc", "paper", "amc23"])
    assert [b.name for b in found] == ["amc", "aime24", "aime25", "math500", "olympiad", "mmlu_pro", "amc23"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "amc2023",
            "no benchmark 'amc2023'; nearest: amc23 (40 questions), amc (83 questions). See: relift eval --list",
        ),
        ("mmlu-pro", "no benchmark 'mmlu-pro'; nearest: mmlu_pro (12,032 questions). See: relift eval --list"),
        ("gpqa", "no benchmark 'gpqa'; nearest: gpqa_diamond (198 questions). See: relift eval --list"),
        ("", "no benchmark ''. See: relift eval --list"),
        ("zzz", "no benchmark 'zzz'. See: relift eval --list"),
    ],
)
def test_a_mistyped_name_gets_the_nearest(name: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        find_benchmark(name)
    assert str(error.value) == message


def test_protocols_name_benchmarks_graders_and_templates_that_exist() -> None:
    for protocol in PROTOCOLS.values():
        assert set(protocol.samples) <= set(BENCHMARKS), protocol.name
        assert protocol.grader in GRADERS and protocol.template in TEMPLATES, protocol.name
