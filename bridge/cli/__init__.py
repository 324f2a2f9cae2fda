"""The commands of `scorewire`, a subject a file; `bridge.cli` puts them together."""
