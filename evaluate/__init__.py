"""Measures a model on labelled texts, and calibrates thresholds. Imports bento; bento's command line imports it when
one of its commands is called (extra `evaluate`)."""
