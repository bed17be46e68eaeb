"""The command: `python -m convert CHECKPOINT --out DIR`. torch is imported once there is something to do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.prompt import Prompt

from bento.artifact import MODEL
from bento.checkpoint.names import HeadActivation
from bento.errors import WordtellError
from bento.types import WordScore
from convert.errors import INTERRUPTED, ConvertError
from convert.interruption import interruptible
from convert.order import Order, Wanted

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Question(Generic[Answer]):
    """A question at a terminal. choices: what to type -> the answer, and its description."""

    title: str
    choices: Mapping[str, tuple[Answer, str]]
    default: str


# The question of the classic recipe, and its order.
PRECISION: Question[Wanted] = Question(
    "Precision", {"1": ("fp32", "FP32  exact"), "2": ("int8", "INT8  smaller and faster")}, default="2"
)
WORD_SCORE: Question[WordScore] = Question(
    "A word's score",
    {
        "1": ("mean", "mean   of its tokens"),
        "2": ("first", "first  of its tokens, for a model that was trained on these alone"),
        "3": ("max", "max    of its tokens"),
    },
    default="1",
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    epilog="Exit codes: 0 done, 2 checkpoint or option not usable, 3 export failed, 4 verification failed, "
    "5 not writable, 130 interrupted. Unless it is 0, a folder that was at DIR is untouched."
)
def convert(  # noqa: PLR0913, PLR0917  # one parameter an option
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="CHECKPOINT", help="Folder that save_pretrained wrote, or a hub's name (owner/model)."),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The model folder to make. One that is there is replaced at the very end."),
    ],
    precision: Annotated[
        Wanted | None,
        typer.Option(
            help="fp32 is exact, int8 smaller and faster; auto makes both and keeps the fastest that holds its limits. "
            "If you leave it out: asked at a terminal, else auto."
        ),
    ] = None,
    positive_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="The label that means: written by a machine. Once for each, if there are several: their probabilities "
            "are added. Found by name if it can be, behind B- and I- too.",
        ),
    ] = None,
    word_score: Annotated[
        WordScore | None,
        typer.Option(
            help="A word's score: the mean of its tokens', that of its first token, or the highest. Take first if the "
            "model was trained on the first token of each word. If you leave it out: asked at a terminal, else mean."
        ),
    ] = None,
    head_activation: Annotated[
        HeadActivation | None,
        typer.Option(help="What is between the layers of a head that has two, if the checkpoint does not tell."),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=8, help="Longest window, special tokens included. If you leave it out: 512 or less."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="CHECKPOINT is a LoRA adapter: its base model, if it is not where the adapter says."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name in responses. If you leave it out: the checkpoint's.")
    ] = None,
    verify_texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Verify on these too: a text a line, or {"text": "two words", "labels": [0, 1]} with 1 for a '
            "machine's word.",
        ),
    ] = None,
    verify_words: Annotated[
        int, typer.Option(min=1, help="int8: verify on at least so many words that it was not calibrated on.")
    ] = Order.verify_words,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="The probability from which a word counts as a machine's.")
    ] = Order.threshold,
    max_dp: Annotated[
        float, typer.Option(min=0, help="fp32: largest difference of a word's probability from PyTorch's.")
    ] = Order.max_dp,
    max_mean_dp: Annotated[
        float, typer.Option(min=0, help="int8: mean difference of a word's probability from PyTorch's, its 95 % bound.")
    ] = Order.max_mean_dp,
    max_flips: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="int8: share of words that change sides of the threshold clearly, its 95 % bound."
        ),
    ] = Order.max_flips,
    max_fp32_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="int8: how much of the MatMul weights stays in FP32 at first, the most sensitive; 0: none, ever.",
        ),
    ] = Order.max_fp32_share,
) -> None:
    """Convert a token classifier to a model folder that wordtell serves.

    DeBERTa-v2/v3, BERT, RoBERTa, XLM-R, ELECTRA and DistilBERT are covered.
    """
    console = Console(stderr=True, highlight=False)
    try:
        with interruptible():
            chosen: Wanted = _ask(PRECISION, otherwise="auto") if precision is None else precision
            rule: WordScore = _ask(WORD_SCORE, otherwise="mean") if word_score is None else word_score
            with _loading(console):
                from convert.conversion import convert  # noqa: PLC0415  # seconds, which --help need not wait
            order = Order(
                source=checkpoint,
                out=out,
                precision=chosen,
                base=base,
                name=name,
                positive_labels=tuple(positive_label or ()),
                word_score=rule,
                head_activation=head_activation,
                max_tokens=max_tokens,
                verify_texts=verify_texts,
                verify_words=verify_words,
                threshold=threshold,
                max_dp=max_dp,
                max_mean_dp=max_mean_dp,
                max_flips=max_flips,
                max_fp32_share=max_fp32_share,
            )
            result = convert(order, lambda title, parts=None: _stage(console, title, parts))
    except WordtellError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(getattr(error, "exit_code", ConvertError.exit_code)) from None
    except (KeyboardInterrupt, EOFError):
        console.print("interrupted: nothing was written", style="red")
        raise typer.Exit(INTERRUPTED) from None
    manifest = result.manifest
    sizes = {file: record.bytes / 1e6 for file, record in manifest.files.items()}
    variant = result.variants[manifest.precision]
    figures = variant.served
    print(
        f"{out}: {manifest.name} in {manifest.precision}, "
        f"{sum(sizes.values()):.1f} MB ({MODEL} {sizes[MODEL]:.1f} MB), "
        f"max |dp| {figures.max_dp:.1e}, mean {figures.mean_dp:.1e} (at most {figures.mean_dp_bound:.1e}), "
        f"flips {figures.flips:.2%}, clear ones {figures.clear_flips:.2%} "
        f"over {figures.words} words against PyTorch FP32"
    )
    if manifest.precision == "int8" and variant.exact:
        speed, exact = f"{figures.words_per_s:.0f} words/s", result.variants.get("fp32")
        print(
            f"{len(variant.exact)} matrices, {figures.fp32_share:.0%} of the weights, stayed in FP32 to hold "
            "the limits: " + (f"{speed}, {exact.served.words_per_s:.0f} in FP32" if exact else speed)
        )
    if manifest.precision == "fp32" and (tried := result.variants.get("int8")):
        why = (
            tried.fault
            or f"it is slower here ({tried.served.words_per_s:.0f} words/s, {figures.words_per_s:.0f} in FP32)"
        )
        print(f"INT8 was not kept: {why}")


def main() -> None:
    """Run the command and leave with its exit code."""
    app(prog_name="python -m convert")


def _ask(question: Question[Answer], otherwise: Answer) -> Answer:
    """The user's answer at a terminal; `otherwise` without a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return otherwise
    print(f"{question.title}:", *(f"  {key}  {text}" for key, (_, text) in question.choices.items()), sep="\n")
    return question.choices[Prompt.ask("Choose", choices=list(question.choices), default=question.default)][0]


@contextmanager
def _stage(console: Console, title: str, parts: int | None = None) -> Iterator[Callable[[], None]]:
    """One line a step: a bar (or only its movement) while it runs, its time afterwards."""
    start = time.perf_counter()
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=parts)
        yield lambda: progress.advance(task)
    console.print(f"{title:<14}{time.perf_counter() - start:7.1f} s")


@contextmanager
def _loading(console: Console) -> Iterator[None]:
    """Imported late, because torch takes seconds. transformers' warnings are off: we raise errors instead, and show our
    own progress."""
    with _stage(console, "start"):
        yield
        import transformers  # noqa: PLC0415  # as above

        messages: Any = transformers.utils.logging
        messages.set_verbosity_error()
        messages.disable_progress_bar()
