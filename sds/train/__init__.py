"""Corpora, codec, prior and evaluation scorer: each a script with --help."""
