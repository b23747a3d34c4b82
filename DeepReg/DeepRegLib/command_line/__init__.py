"""The subcommands of ``slicer-deepreg``, a file for each group of them.

Nothing here imports numpy or torch before a command runs: the help appears at once.
"""
