"""The fuzzing campaign, ``make fuzz``: mutated input of every kind against the code that reads it.

``inputs`` makes samples, ``mutations`` changes them, ``targets`` says what reads them and what must hold afterwards,
``guard`` watches files, sockets and time, ``__main__`` runs all of it in processes of their own and prints a table.
"""
