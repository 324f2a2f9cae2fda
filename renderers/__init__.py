"""Parameters to audio."""
