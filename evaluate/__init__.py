"""How good a model is on labelled texts, and thresholds that keep a promise. May import bento; bento's command line
loads it when it is asked for (the extra `evaluate`)."""
