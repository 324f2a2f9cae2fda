"""Files as the light process reads and writes them: WAV, names, results that appear whole.

- `atomic_output`: Results that appear whole or not at all: written in a hidden folder, then moved
  to their place.
- `export_report`: REPORT.md of an export: what each file is, who loads it, how near it sounds,
  what was lost.
- `names`: File names made of what people type, and the digest of a file.
- `riff`: Chunks of RIFF files, as they are and not only as they should be; and those that a FLAC
  keeps.
- `wav`: WAV files without an array library: write float with bext and iXML, read back sample by
  sample.
- `write_terms`: What may be written where: files that Scorewire did not make stay, and no link
  leads elsewhere.
"""
