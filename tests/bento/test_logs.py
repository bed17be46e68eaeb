"""No line of a log can be forged."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from bento import logs
from bento.errors import ConfigError

NASTY = "/x\nERROR: fake\r\x1b[31m\u2028\u0085\u202e\x00\ud800z"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """A logger's output, in a format of somebody else's, made before the guard."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger, before = logging.getLogger("somebody.else"), logging.getLogRecordFactory()
    logger.addHandler(handler)
    logs.guard()
    yield stream
    logging.setLogRecordFactory(before)
    logger.removeHandler(handler)


@pytest.mark.parametrize("arguments", [(NASTY,), ("%s", NASTY), ("%(path)s", {"path": NASTY})])
def test_a_message_is_one_line(lines: io.StringIO, arguments: tuple[object, ...]) -> None:
    logging.getLogger("somebody.else").error(*arguments)
    written = r"[ERROR] /x\nERROR: fake\r\x1b[31m\u2028\x85\u202e\x00\ud800z"
    assert lines.getvalue() == written + "\n"


def test_every_line_of_a_trace_is_indented(lines: io.StringIO) -> None:
    try:
        raise ValueError(NASTY)
    except ValueError:
        logging.getLogger("somebody.else").exception("failed\n", stack_info=True)
    first, *rest = lines.getvalue().splitlines()
    assert first == "[ERROR] failed"
    assert rest[0] == "  Traceback (most recent call last):"
    assert r"  ERROR: fake\r\x1b[31m\u2028\x85\u202e\x00\ud800z" in rest
    assert all(line.startswith("  ") for line in rest)


def test_what_is_printable_stays() -> None:
    assert logs.one_line("models/d\u00e9tecteur \u05e9\u05dc\u05d5\u05dd \U0001f600") == (
        "models/d\u00e9tecteur \u05e9\u05dc\u05d5\u05dd \U0001f600"
    )


def test_a_refusal_is_one_line() -> None:
    assert str(logs.refusal(ConfigError("no file a\nb"))) == r"wordtell: no file a\nb"
