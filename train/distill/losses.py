"""Losses of the student: the teacher's log-odds, gold labels, and relations between words."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

Tensor = torch.Tensor

TEMPERATURE = 2.0
GOLD = 0.3
"""The weight of gold labels beside the teacher's."""

_HEADS = 12


def soft(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence of two-class distributions at TEMPERATURE, by their log-odds (Hinton et al. 2015).

    student, teacher: [tokens]. Tokens whose teacher's log-odds are nan are left out; without any other the loss is 0.
    """
    known = ~teacher.isnan()
    if not known.any():
        return student.sum() * 0.0
    mine, theirs = student[known] / TEMPERATURE, teacher[known] / TEMPERATURE
    target = theirs.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(mine, target, reduction="none")
    entropy = functional.binary_cross_entropy_with_logits(theirs, target, reduction="none")
    return (cross - entropy).mean() * TEMPERATURE**2


def gold(student: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of log-odds [tokens] and labels [tokens]: 0, 1, or -1 for no label. 0 if there is no label."""
    known = labels >= 0
    if not known.any():
        return student.sum() * 0.0
    return functional.binary_cross_entropy_with_logits(student[known], labels[known].float())


def pool(hidden: Tensor, owners: Tensor) -> Tensor:
    """The mean hidden state of each word [rows, words, width]. owners: [rows, tokens], the word of a token or -1."""
    rows, _, width = hidden.shape
    count = int(owners.max()) + 1
    place = torch.where(owners < 0, count, owners)
    total = hidden.new_zeros(rows, count + 1, width).scatter_add_(1, place.unsqueeze(-1).expand_as(hidden), hidden)
    tokens = hidden.new_zeros(rows, count + 1).scatter_add_(1, place, hidden.new_ones(place.shape))
    return (total / tokens.clamp(min=1).unsqueeze(-1))[:, :count]


def relations(student: Tensor, teacher: Tensor, words: Tensor) -> Tensor:
    """The distance of the student's relations between words from the teacher's (as in MiniLMv2, arXiv 2012.15828).

    student, teacher: [rows, words, width]; the widths may differ. words: [rows], the number of words of each row.
    """
    heads = math.gcd(math.gcd(student.shape[-1], teacher.shape[-1]), math.lcm(*range(1, _HEADS + 1)))
    heads = max(count for count in range(1, _HEADS + 1) if heads % count == 0)
    count = student.shape[1]
    valid = torch.arange(count) < words.unsqueeze(1)
    hidden = ~valid[:, None, None, :]

    def logs(states: Tensor) -> Tensor:
        rows, _, width = states.shape
        parts = states.float().view(rows, count, heads, width // heads).transpose(1, 2)
        products = parts @ parts.transpose(2, 3) / math.sqrt(width // heads)
        return products.masked_fill(hidden, -1e9).log_softmax(-1)

    mine, theirs = logs(student), logs(teacher)
    distance = (theirs.exp() * (theirs - mine)).sum(-1)
    return distance[valid[:, None, :].expand_as(distance)].mean()
