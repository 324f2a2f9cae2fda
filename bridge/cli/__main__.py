"""`python -m bridge.cli`: what `scorewire` runs."""

from bridge.cli.main import main

if __name__ == "__main__":
    main()
