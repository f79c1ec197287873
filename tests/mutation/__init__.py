"""Mutation testing of the decisions and of what carries them out: does any test notice a small change?

`make mutate` changes one condition, operand or statement at a time. Whatever the unit tests do not notice is
tried against simulated schedules, and what these do not notice, against the integration tests of that module.
A mutant that survives all of them has to be explained in `explained.toml`.
"""
