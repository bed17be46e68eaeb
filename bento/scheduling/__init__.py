"""Decides which windows run when and on which lane: fair between requests, with a bounded backlog."""
