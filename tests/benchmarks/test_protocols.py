import pytest

from relift.benchmarks.protocols import (
    DEFAULT,
    PROTOCOLS,
    customised,
    default_protocol,
    find_protocol,
    samples_of,
)
from relift.benchmarks.table import BENCHMARKS
from relift.errors import InputError


def test_every_preset_has_its_sources_and_what_it_cannot_do() -> None:
    assert set(PROTOCOLS) == {
        "relift", "arith", "relift-june2025", "luffy", "qwen", "rlvr-limit", "lighteval", "sober", "matharena", "nemo",
        "evalchemy",
    }  # fmt: skip
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and protocol.sources and all(protocol.sources) and protocol.notes
        assert (
            protocol.sampling.max_tokens >= (128 if name == "arith" else 2048)
            and protocol.sampling.stop_token_ids == ()
        )
        assert "{problem}" in protocol.layout and "{instruction}" in protocol.layout
        assert protocol.wording or protocol.instruction.get("choice"), "a multiple-choice question needs to say so"
        assert "exact" not in protocol.instruction


def test_the_default_is_the_papers() -> None:
    relift = PROTOCOLS[DEFAULT]
    assert (relift.sampling.temperature, relift.sampling.top_p, relift.sampling.max_tokens) == (0.6, 1.0, 8192)
    assert relift.template == "chat" and relift.system is None and "math" not in relift.instruction
    wanted = {"aime24": 32, "aime25": 32, "amc": 32, "math500": 8, "olympiad": 8, "mmlu_pro": 1}
    assert {name: samples_of(relift, BENCHMARKS[name]) for name in wanted} == wanted


def test_embedded_sets_alone_are_asked_as_the_demo_asks() -> None:
    embedded = [b for b in BENCHMARKS.values() if b.hub is None]
    assert embedded and default_protocol(embedded) == "arith"
    assert default_protocol([*embedded, BENCHMARKS["aime24"]]) == DEFAULT == "relift"


def test_repeated_rows_are_samples() -> None:
    june = PROTOCOLS["relift-june2025"]
    wanted = {"aime24": 32, "amc": 32, "math500": 1, "olympiad": 1, "arith_test": 1}
    assert {name: samples_of(june, BENCHMARKS[name]) for name in wanted} == wanted
    assert june.grader == "math-verify"


def test_greedy_presets() -> None:
    greedy = {name for name, protocol in PROTOCOLS.items() if protocol.sampling.temperature == 0}
    assert greedy == {"qwen", "lighteval", "evalchemy"}


def test_other_samples_keep_the_name_other_settings_do_not() -> None:
    relift = find_protocol("relift")
    more = customised(relift, samples=4)
    assert more.name == "relift" and {samples_of(more, b) for b in BENCHMARKS.values()} == {4}
    one = customised(relift, samples={"aime24": 64})
    assert samples_of(one, BENCHMARKS["aime24"]) == 64 and samples_of(one, BENCHMARKS["math500"]) == 8
    cold = customised(relift, temperature=0.0, samples=1)
    assert cold.name == "custom (from relift)" and cold.sampling.temperature == 0.0 and cold.sampling.top_p == 1.0
    assert customised(cold, max_tokens=100).name == "custom (from relift)"
    assert customised(relift, template="boxed", top_p=None).name == "custom (from relift)"


def test_no_change_is_no_custom_protocol() -> None:
    relift = find_protocol("relift")
    assert customised(relift) == relift
    assert customised(relift, temperature=0.6, system=None) == relift
    with pytest.raises(TypeError):
        customised(relift, temprature=0.6)


def test_a_mistyped_protocol_gets_the_nearest() -> None:
    with pytest.raises(InputError, match="no protocol 'relif'; nearest: relift; known: relift, arith, "):
        find_protocol("relif")
