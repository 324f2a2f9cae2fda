"""Where jobs run: `local` is a supervised worker process on this machine."""
