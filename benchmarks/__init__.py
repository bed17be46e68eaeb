"""One short script a question; results/ holds what they measured, with the machine and the versions."""
