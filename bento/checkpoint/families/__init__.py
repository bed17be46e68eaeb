"""The families of encoders: each has one file, which describes what is special about it as a Description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bento.checkpoint.families import bert, deberta, distilbert, modernbert, mpnet
from bento.checkpoint.families.description import Description, Family

# By `model_type`; the same as in names.ARCHITECTURES.
FAMILIES: Mapping[str, Family] = {
    "deberta": deberta.FAMILY,
    "deberta-v2": deberta.FAMILY,
    **dict.fromkeys(bert.PREFIXES, bert.FAMILY),
    "distilbert": distilbert.FAMILY,
    "mpnet": mpnet.FAMILY,
    "modernbert": modernbert.FAMILY,
}


def describe(config: Any) -> Description:
    """The encoder of a configuration of transformers. KeyError for a family that is not here."""
    return FAMILIES[config.model_type].describe(config)
