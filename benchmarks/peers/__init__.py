"""The libraries that pyrnn is compared with, one module each.

A peer's module has `version()`, `inference(problem) -> Run` and, where it can train, `training(problem) -> Run`.
`import peers.<name>` raises ImportError where the library is not installed. A module of your own, anywhere on the
path, can be a peer too: `compare.py --peers torch,my.module`.
"""
