"""Whether, how fast and at what price migrations end: a simulation that drives the real rules.

A fluid model, not a prediction of any guest: it ranks policies on the same guests, links and seeds.
"""
