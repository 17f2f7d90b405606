"""The archive on disk: a LevelDB ledger (the truth) and a published view (what a search reads).

Use `storage.archive.Archive` to write, `storage.archive.open_snapshot` to read,
`storage.verify.verify` to check, `storage.records` and `storage.errors` for what crosses the wall.
This package imports no other package of reelseek. The format: docs/internals/storage-format.md.
"""
