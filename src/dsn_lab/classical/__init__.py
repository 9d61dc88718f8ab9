"""Classifiers that are fitted, not trained: no epochs, no gradient.

A choice is registered in :data:`dsn_lab.registry.classifiers` and called with its settings, and
with ``seed`` and ``threads``; it returns an object with ``fit(x, y)`` and ``predict_proba(x)`` for
series ``(n, channel, time)`` and labels ``0, 1, ...``.
"""
