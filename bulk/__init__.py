"""Files of any size: read, scored, written; on this machine (`run`) and on a Ray cluster (`cluster`).

Imports bento; nothing in bento imports this but the command `wordtell batch`, when it is called.
"""
