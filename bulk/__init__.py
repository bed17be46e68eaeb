"""Reads, scores and writes files of any size, on this machine (`run`) and on a Ray cluster (`cluster`).

Imports bento. In bento only the command `wordtell batch` imports this, when it is called.
"""
