"""Speed and error, each beside a reference. `python -m bench.report FILE` writes the page.

Every module here with a `rows()` contributes: it returns dicts with the keys of `report.COLUMNS`.
"""
