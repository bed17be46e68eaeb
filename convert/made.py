"""Generates texts that the prose lacks: numbers, code, names, other scripts. Seeded, so the same every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_GIVEN = ("Amara", "Björn", "Chiara", "Đặng", "Eoin", "Fatima", "Grzegorz", "Håkan", "İpek", "José", "Łukasz", "Ngozi")
_FAMILY = (
    "Abdullahi",
    "Brontë",
    "Çelik",
    "Dvořák",
    "Eriksson",
    "Fernández",
    "Gonçalves",
    "Hölderlin",
    "O'Neill",
    "Şahin",
)
_PLACES = ("Reykjavík", "São Paulo", "Wrocław", "Kraków", "Ürümqi", "Nuku'alofa", "Saint-Étienne", "Xi'an", "Zürich")
_UNITS = ("EUR", "km/h", "%", "°C", "kWh", "bn", "kg", "pp")
_THINGS = ("shares", "exports", "output", "rainfall", "turnover", "wages", "deliveries", "the index")
_NAMES = ("total", "rows", "index", "cache", "node", "left", "weights", "buffer", "user_id", "maxRetries")
_CALLS = ("read", "append", "splitlines", "get", "json.loads", "Math.max", "std::move", "os.path.join")
_SCRIPTS = (
    "Поезд отходит в девять часов утра с третьего пути",
    "El niño corrió hacia la estación porque llovía muchísimo",
    "Η βιβλιοθήκη ανοίγει κάθε μέρα εκτός από την Κυριακή",
    "القطار يغادر المحطة في الساعة التاسعة صباحا كل يوم",
    "הספרייה פתוחה בכל יום חוץ מיום שבת בבוקר",
    "आज सुबह से बारिश हो रही है और सड़क बंद है",
    "会議は 火曜日の 午後三時に 始まる 予定です",
    "我们 星期二 下午 在 图书馆 见面 讨论 报告",
    "기차는 매일 아침 아홉 시에 역을 떠납니다",
    "รถไฟ ออกจาก สถานี ทุกเช้า เวลา เก้า โมง",
)


def _number(draw: np.random.Generator) -> str:
    change, value = draw.normal(0, 8), draw.lognormal(6, 3)
    unit, thing, year = draw.choice(_UNITS), draw.choice(_THINGS), draw.integers(1950, 2031)
    number = f"{draw.integers(10**7)}/{draw.integers(99)}"
    return f"In {year} {thing} came to {value:,.2f} {unit} ({change:+.1f} %, no. {number})."


def _code(draw: np.random.Generator) -> str:
    first, second, call = draw.choice(_NAMES), draw.choice(_NAMES), draw.choice(_CALLS)
    return str(
        draw.choice(
            (
                f"for {first} in {second}: {first}_{draw.integers(9)} = {call}({first}, {draw.integers(999)})",
                f"if ({first} != null && {second}[{draw.integers(64)}] > 0x{draw.integers(65536):04x}) {{ return; }}",
                f"assert {call}({first}) == [{draw.integers(9)}], f'{{{second}!r}}'  # see #{draw.integers(999)}",
            )
        )
    )


def _name(draw: np.random.Generator) -> str:
    person, other = (f"{draw.choice(_GIVEN)} {draw.choice(_FAMILY)}" for _ in range(2))
    return f"{person} of {draw.choice(_PLACES)} wrote to {other}, {draw.choice(_PLACES)}."


def _script(draw: np.random.Generator) -> str:
    return f"{draw.choice(_SCRIPTS)}."


_KINDS: dict[str, Callable[[np.random.Generator], str]] = {
    "numbers": _number,
    "code": _code,
    "names": _name,
    "scripts": _script,
}


def texts(count: int, seed: int, lengths: Sequence[int] = (1, 4, 12)) -> list[tuple[str, str]]:
    """(kind, text) of so many texts of each kind; lengths: sentences of a text, in turn."""
    draw = np.random.default_rng(seed)
    return [
        (kind, " ".join(make(draw) for _ in range(lengths[number % len(lengths)])))
        for number in range(count)
        for kind, make in _KINDS.items()
    ]
