"""Define the options of sampling and grading that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

MaxTokens = Annotated[int | None, typer.Option(min=1, help="longest answer, in tokens")]
Temperature = Annotated[float | None, typer.Option(min=0.0, help="sampling temperature; 0 is greedy")]
TopP = Annotated[float | None, typer.Option(help="nucleus of sampling, above 0 and up to 1")]
Template = Annotated[str | None, typer.Option(help="prompt template: chat, boxed or plain")]
Engine = Annotated[str, typer.Option(help="engine: torch, vllm, openai or replay")]
EngineOptions = Annotated[
    list[str] | None,
    typer.Option("--engine-option", metavar="KEY=VALUE", help="a setting of the engine; see docs/evaluation.md"),
]
Tokenizer = Annotated[str | None, typer.Option(help="tokenizer of a served model: a folder or hub id")]
Revision = Annotated[str | None, typer.Option(help="revision of a model on the hub")]
SecondGrader = Annotated[str | None, typer.Option(help="compare verdicts with another grader's")]
