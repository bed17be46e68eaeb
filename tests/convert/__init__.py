"""The conversion: small random checkpoints, offline."""
