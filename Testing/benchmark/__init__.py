"""Measures the registrator beside greedy, elastix, convexAdam and demons: same pairs, same threads, one run.

Nothing here asserts a time: machines differ. Compare times as ratios within one run.
"""
