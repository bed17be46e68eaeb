"""A Hugging Face checkpoint: read, checked, refused by name. Needs torch and transformers, so import it lazily."""
