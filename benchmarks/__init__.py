"""One short script for each question. results/ has the figures, with the machine and the versions."""
