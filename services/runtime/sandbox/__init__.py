"""Programs that a model wrote, run where they can do no harm and judged where they cannot reach (Linux, no privileges).

Two confined processes and one outside: the *solver* holds the program, the *tester* holds the tests and asks the solver
for values, and whoever called `run` hears the verdict from the tester. What the program can say is the value of a call.
"""
