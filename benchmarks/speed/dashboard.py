"""Measure how fast the dashboard answers on a large run: 100,000 questions x 100 steps, in CPU seconds of one core.

Run:  python -m relift.benchmarks.speed.dashboard --out FILE [--questions 100000] [--steps 100] [--run FOLDER]

The run has 8 attempts at each question and step, and their texts at every tenth: 3 GB of disk, made in five minutes.
The pages are run by Streamlit's AppTest in one process: what the server does, without the browser; as in a server the
compiled pages are kept. `cold`: all caches empty, in a process that has shown a page before (`first`: that has not);
`warm`: the same page again; `another question`: one that nobody has looked at, as behind Next. A live step: the survey
of the runs and the cube with one more step. Memory is the process's resident set, interpreter and libraries included.
Budgets: overview 2 s cold and .2 s warm, a page of the questions table .3 s, one question .1 s, a live step .2 s
(survey and cube), 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

BUDGET_SECONDS = {
    "overview, cold": 2.0, "overview, warm": 0.2, "questions, warm": 0.3, "question, warm": 0.1,
    "another question": 0.1, "live step": 0.2,
}  # fmt: skip
PAGES = ("overview", "questions", "question", "transitions", "dynamics", "training")


def measure(folder: Path, *, warm_runs: int) -> dict[str, Any]:
    """Seconds of each page, cold and warm (the median), of a live step, and megabytes."""
    from streamlit import config
    from streamlit.testing.v1 import AppTest

    import relift.dashboards
    from relift.dashboards import runs as of_runs

    for page in PAGES:  # the imports of every page, so that cold means without data
        import_module(f"relift.dashboards.pages.{page}")
    import_module("scipy.optimize")
    found: dict[str, Any] = {"MB after imports": _resident_mb()}
    app_file = Path(relift.dashboards.__file__).with_name("app.py")
    sys.argv = ["app.py", str(folder)]
    (run,) = of_runs.survey()
    config.set_option("browser.gatherUsageStats", False)  # noqa: FBT003 - as `relift dashboard` starts it
    ids = of_runs.questions_of(run)["question_id"].astype(str).tolist()
    _keep_compiled_pages()
    import streamlit as st

    for name in ("overview, first", "overview, cold"):  # the first also meets what Altair and Streamlit make once
        st.cache_resource.clear()
        st.cache_data.clear()
        found[name] = _seconds(AppTest.from_file(str(app_file), default_timeout=600).run)
    st.cache_resource.clear()
    st.cache_data.clear()
    for page in PAGES:
        app = AppTest.from_file(str(app_file), default_timeout=600)
        if page == "question":
            app.query_params["q"] = ids[len(ids) // 2]
        if page != "overview":
            app.switch_page(f"pages/{page}.py")
        seconds = _seconds(app.run)
        found.setdefault(f"{page}, cold", seconds)
        if app.exception:
            raise SystemExit(f"{page}: {app.exception[0].value}")
        times = sorted(_seconds(app.run) for _ in range(warm_runs))
        found[f"{page}, warm"] = times[len(times) // 2]
        if page == "question":
            found["another question"] = _other_questions(app, ids[:: len(ids) // (2 * warm_runs + 1)][1::2])
        found[f"MB after {page}"] = _resident_mb()
    found["live step"] = _live_step(folder)
    found["MB at most"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return found


def _other_questions(app: Any, ids: Sequence[str]) -> float:
    """Median of the seconds of these questions' pages."""
    times = []
    for question_id in ids:
        app.query_params["q"] = question_id
        times.append(_seconds(app.run))
        if app.exception:
            raise SystemExit(f"question {question_id}: {app.exception[0].value}")
    return statistics.median(times)


def _keep_compiled_pages() -> None:
    """AppTest compiles every page anew in every run, which a server does once."""
    from streamlit.runtime.scriptrunner.script_cache import ScriptCache
    from streamlit.testing.v1 import app_test, local_script_runner

    kept = ScriptCache()
    for module in (app_test, local_script_runner):
        vars(module)["ScriptCache"] = lambda: kept


def _live_step(folder: Path) -> float:
    """Another step is committed; seconds until survey and cube know it."""
    from relift.dashboards import cubes
    from relift.dashboards import runs as of_runs
    from relift.store import RunReader, RunWriter

    (run,) = of_runs.survey()
    cubes.cube(run)
    reader, last = RunReader(folder), run.probe_steps[-1]
    rows = reader.read("trajectories", origin="probe", steps=[last]).drop(columns=["run_id", "origin", "draw", "step"])
    with RunWriter(folder) as writer:
        writer.write("trajectories", rows, step=last + 1, origin="probe", draw=0)
        writer.commit(last + 1)

    def look() -> None:
        (grown,) = of_runs.survey()
        if cubes.cube(grown).step_T[-1] != last + 1:
            raise SystemExit("the new step was not seen")

    return _seconds(look)


def _seconds(what: Callable[[], object]) -> float:
    """CPU seconds of the process: one core, and a machine that does other things beside it does not count."""
    begun = time.process_time()
    what()
    return time.process_time() - begun


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--run", type=Path, help="a run made before; it gets one more step without attempts")
    parser.add_argument("--repeats", type=int, default=5, help="warm runs of each page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.run
        if folder is None:
            from relift.benchmarks.speed.big_run import make_run

            folder = Path(temporary) / "rl"
            make_run(folder, n_questions=options.questions, n_steps=options.steps, attempts=True, texts=10)
        found = measure(folder, warm_runs=options.repeats)
    for name, value in found.items():
        budget = BUDGET_SECONDS.get(name)
        limit = f"  budget {budget:g} s: {'met' if value <= budget else 'NOT met'}" if budget else ""
        print(f"{name:24} {value:10.3f}{limit}" if not name.startswith("MB") else f"{name:24} {value:10.0f}")
    if options.out:
        result = {
            "command": " ".join(["python -m relift.benchmarks.speed.dashboard", *sys.argv[1:]]),
            "questions": options.questions, "steps": options.steps, "seconds_and_mb": found,
            "budget_seconds": BUDGET_SECONDS, "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "versions": {name: metadata.version(name) for name in ("streamlit", "altair", "pandas", "pyarrow")},
        }  # fmt: skip
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
