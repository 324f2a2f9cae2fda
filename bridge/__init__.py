"""Beside the DAW: a light process that speaks OSC and hands jobs to a worker. No torch here."""
