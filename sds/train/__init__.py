"""Corpora, codec, prior and judge: each a script with --help."""
