"""`python -m bento.cli`, as `wordtell`."""

from bento.cli import main

main()
