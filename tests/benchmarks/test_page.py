"""Check that docs/benchmarks.md says what the tables say."""

from relift.benchmarks import BENCHMARKS, PROTOCOLS
from tests.repository import ROOT, docs_script


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page == docs_script("make_benchmarks").benchmarks_markdown(), "run `python docs/make_benchmarks.py`"


def test_every_fact_stands_on_the_page() -> None:
    page = docs_script("make_benchmarks").benchmarks_markdown()
    for benchmark in BENCHMARKS.values():
        assert f"\n### {benchmark.name}\n" in page
        facts = (benchmark.revision, benchmark.content_hash, *benchmark.sources, *benchmark.notes)
        assert [fact for fact in facts if fact and fact not in page] == []
    for protocol in PROTOCOLS.values():
        said = [text.replace("<", "&lt;") for text in (*protocol.sources, *protocol.notes)]
        assert [text for text in said if text not in page] == [] and f"\n### {protocol.name}\n" in page
