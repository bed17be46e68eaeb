"""Lines of the log and of standard error that a request cannot forge.

A path, a header or a file name may hold a line break, or an escape sequence for terminals. Here they become `\\n` and
`\\x1b`, in the records of every logger of the process: ours, uvicorn's and BentoML's. The lines of a trace are
indented, so that none of them looks like a record.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import datetime, timezone
from typing import Any

from opentelemetry import trace

from bento.errors import WordtellError


def one_line(text: str) -> str:
    """The text with every character that is not printable written as its escape: one line, whatever it holds."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def refusal(error: WordtellError) -> SystemExit:
    """The end of a command or server that cannot run: one line on standard error, exit code 1."""
    return SystemExit(f"wordtell: {one_line(error.message)}")


def guard() -> None:
    """From now on, every record of this process has a message of one line."""
    logging.setLogRecordFactory(_Record)


def write_json() -> None:
    """From now on, every existing handler writes one JSON object a line."""
    loggers = (logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict))
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        handler.setFormatter(_Json())


class _Json(logging.Formatter):
    """time, level, logger, message; trace_id and span_id inside a traced request; exception with its trace."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            fields |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        if record.exc_text:
            fields["exception"] = record.exc_text
        return json.dumps(fields, ensure_ascii=False)


class _Record(logging.LogRecord):
    """Applied to every record, whatever the handler and its format."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[0]:  # a formatter takes the text that is there already
            self.exc_text = _indented("".join(traceback.format_exception(*self.exc_info)))
        if self.stack_info:
            self.stack_info = _indented(self.stack_info)

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        return one_line(super().getMessage().rstrip())


def _indented(trace: str) -> str:
    return "\n".join(f"  {one_line(line)}" for line in trace.rstrip().split("\n"))
