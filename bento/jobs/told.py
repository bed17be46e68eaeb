"""What is told of a job: by the API, and to its client. It needs no database."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Job(BaseModel):
    """How far a job is."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"] = Field(
        description="failed: some texts could not be scored by any server; `reason` says why."
    )
    texts: int = Field(description="Texts of the job.")
    texts_done: int = Field(description="Texts that have a result line, those with an error among them.")
    texts_failed: int = Field(description="Texts whose result line is an error.")
    created: float = Field(description="Seconds since 1970, by the database's clock.")
    ended: float | None = Field(description="As `created`; null until the job is done or failed.")
    seconds_left: float | None = Field(description="Estimate from the speed so far; null while there is none.")
    model_versions: list[str] | None = Field(None, description="Versions that scored it: of one job only.")
    reason: str | None = Field(None, description="Why it failed.")
