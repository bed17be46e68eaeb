"""Which windows run when, and on which lane: fair between requests, bounded, and right under any order of events."""
