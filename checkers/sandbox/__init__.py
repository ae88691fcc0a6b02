"""A sandbox for Python programs that a model wrote: no root, no daemon, no container.

Three processes judge a program. The *caller* (yours) starts the others, keeps the clock and kills them. The
*candidate* holds the program and nothing else. The *referee* holds the tests, asks the candidate for
values and compares them itself. Candidate and referee are forked, fresh for each program, from a *zygote*:
a clean interpreter without our environment, files or memory. Some are sealed ahead of time, and wait, each
for its one program. Between candidate and referee go lines of plain data; nothing of what a test expects is
ever in the candidate's memory.

    caller ──pipe── referee ──plain data── candidate
       └──────────── zygote (forks and reaps both)

Read in this order: `limits`, `layers` (what is switched on, and the proof that it bites), `seccomp`,
`landlock`, `namespaces`, `values` (data in and out), `candidate`, `referee`, `warm`, `zygote`, `host`.

Nothing here imports the rest of `checkers`, so that the zygote stays small.
"""
