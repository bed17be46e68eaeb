"""Reads and checks a Hugging Face checkpoint. Imports torch and transformers, so import it lazily."""
