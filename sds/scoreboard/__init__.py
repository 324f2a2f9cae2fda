"""The scoreboard: every method beside its baselines, on recordings that nothing was trained on.

`board` runs the suites, remembers what is done and sums up; each suite is a function from a
`Setting` to `Task`s. `sds.scoreboard.suites.SUITES` is the literal table.
"""
