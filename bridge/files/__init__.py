"""Files as the light process reads and writes them: WAV, names, results that appear whole.

- `atomic_output`: Results that appear whole or not at all: written in a hidden folder, then moved
  to their place.
- `export_report`: REPORT.md of an export: what each file is, who loads it, how near it sounds,
  what was lost.
- `names`: File names made of what people type, and the digest of a file.
- `riff`: Read the chunks of RIFF files, also of files that break the rules, and those that a FLAC
  keeps.
- `wav`: WAV files without an array library: write float with bext and iXML, read back sample by
  sample.
- `write_terms`: Check and record what is written where: others' files stay, and no link leads
  elsewhere.
"""
