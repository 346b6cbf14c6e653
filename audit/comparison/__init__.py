"""`audit compare`: what changed between two runs, or how many stand beside each other.

facts: what the runs say of themselves. significance: more than noise, and after Holm. record: what
is written down. two: two runs. leaderboard: many. correlation: ranks of models. scatter: points.
"""
