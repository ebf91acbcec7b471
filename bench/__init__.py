"""Mailferry beside Postfix + OpenDKIM on the same machine, in one run, driven by one load program into one sink.

`python -m bench` prints medians and ratios and what each figure includes. Nothing here asserts a time: the figures of
two runs, or of two machines, are not comparable, only the ratios inside one run are.
"""
