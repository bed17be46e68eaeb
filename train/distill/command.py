"""The steps of `wordtell distill`, from the teacher to the report."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from rich.console import Console

from bento.checkpoint import labels, names, reading, tokenizer
from bento.checkpoint.reading import Checkpoint
from bento.errors import WordtellError
from convert.interruption import interruptible
from train.command import Unfit
from train.distill import report, rows, student, texts
from train.distill.errors import DistillError, OtherRun
from train.distill.learning import Lessons, Plan, Student, learn
from train.distill.orders import Order
from train.distill.teacher import Teacher
from train.distill.texts import Texts, cut

_ROUNDS, _LEAST_STEPS = 3, 300
"""Without --steps, each text is seen so often, and there are so many steps at least."""


@dataclass(frozen=True)
class Asked:
    """The options of the command. steps, relation_steps: None: derived from the number of texts. limit: in seconds."""

    teacher: Path
    files: tuple[Path, ...]
    out: Path
    order: Order
    steps: int | None = None
    relation_steps: int | None = None
    rate: float = Plan.rate
    each: int = Plan.each
    seed: int = Plan.seed
    limit: float | None = None
    fresh: bool = False
    soft: float = Plan.soft

    @property
    def work(self) -> Path:
        """The folder of the run's files, until the student is complete."""
        return self.out.with_name(f"{self.out.name}.work")


def distill(asked: Asked) -> str:
    """Write the student to `out` and its report to `out`/report. Returns the report. Raises WordtellError."""
    if asked.out.exists() and (not asked.out.is_dir() or any(asked.out.iterdir())):
        raise DistillError(f"{asked.out} is there already: name another folder with --out, or take it away")
    told: Any = transformers.utils.logging
    told.disable_progress_bar()
    told.set_verbosity_error()
    console = Console(stderr=True)
    try:
        with interruptible():
            return _distill(asked, console)
    except Unfit as error:
        raise DistillError(str(error)) from None
    except KeyboardInterrupt:
        said = f"stopped; give the same command again to go on from here ({asked.work} keeps what is done)"
        raise DistillError(said) from None
    except OSError as error:
        if isinstance(error, WordtellError):
            raise
        raise DistillError(f"{error.filename or asked.work}: {error.strerror}") from None


def _distill(asked: Asked, console: Console) -> str:
    teacher, found = Teacher(asked.teacher), texts.read(asked.files)
    run: dict[str, Any] = {
        "teacher": teacher.digest,
        "texts": found.digest,
        "order": repr(asked.order),
        "soft": asked.soft,
    }
    _same_run(asked, run)
    begun = asked.work / "begun"
    if not begun.exists():
        console.print(student.begin(asked.order, teacher, found.every, asked.seed, begun.with_name("begun.new")))
        begun.with_name("begun.new").rename(begun)
    small = reading.read(str(begun), attention=None)
    learner = Student(small, small.labels.index(labels.positive(small.labels)[0]))
    lessons = _lessons(asked.work, teacher, small, found)
    console.print(f"{len(lessons.teach)} pieces teach, {len(lessons.choose)} choose, {len(found.judge)} texts judge")
    learn(learner, lessons, _plan(asked, len(lessons.teach)), asked.work, run)
    made = asked.work / "student"
    _write(learner, begun, made)
    told = report.compare(asked.teacher, made, found.judge, asked.limit, made / "report")
    if asked.out.exists():  # empty, as `distill` has seen
        asked.out.rmdir()
    made.rename(asked.out)
    shutil.rmtree(asked.work)
    return told


def _same_run(asked: Asked, run: dict[str, Any]) -> None:
    """Make the work folder, or check that it belongs to this run. Raises OtherRun."""
    if asked.fresh:
        shutil.rmtree(asked.work, ignore_errors=True)
    asked.work.mkdir(parents=True, exist_ok=True)
    file = asked.work / "run.json"
    if not file.exists():
        file.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    before = json.loads(file.read_text(encoding="utf-8"))
    if differing := [name for name, value in run.items() if before.get(name) != value]:
        raise OtherRun(asked.work, " and another ".join(differing))


def _lessons(work: Path, teacher: Teacher, small: Checkpoint, found: Texts) -> Lessons:
    """The pieces that fit a window of both models, as the student's tokens with the teacher's scores."""
    own, most = small.fast_tokenizer, small.max_tokens(None)

    def fits(text: str) -> bool:
        return teacher.sees(text) and len(own.encode(text).ids) <= most

    teach, choose = ([part for piece in some for part in cut(piece, fits)] for some in (found.teach, found.choose))
    judged = teacher.judge([piece.text for piece in (*teach, *choose)], work / "scores")
    mine = rows.rows(own, teach, judged[: len(teach)]), rows.rows(own, choose, judged[len(teach) :])
    if not teacher.is_checkpoint:
        return Lessons(*mine, [])
    theirs = rows.rows(tokenizer.plain(teacher.folder.tokenizer_text or ""), teach)
    return Lessons(*mine, theirs, reading.read(str(teacher.path), attention=None).model)


def _plan(asked: Asked, pieces: int) -> Plan:
    steps = asked.steps or max(_LEAST_STEPS, _ROUNDS * pieces // asked.each)
    later = steps // 3 if asked.relation_steps is None else asked.relation_steps
    every = max(1, min(Plan.check_every, steps // 4))
    return Plan(steps, later, rate=asked.rate, each=asked.each, seed=asked.seed, soft=asked.soft, check_every=every)


def _write(learner: Student, begun: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    learner.model.save_pretrained(out)
    for name in (names.TOKENIZER, "tokenizer_config.json"):
        shutil.copy(begun / name, out)
