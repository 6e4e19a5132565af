"""An independent engine, Brian2, simulates the same small network from the neurons' own equations, and is compared.

Nothing is imported here: the worker, a process of its own, needs neither torch nor what is above numpy in this package.
"""
