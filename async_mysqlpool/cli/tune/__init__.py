"""``async-mysqlpool tune``: how large the pool should be, measured on the server itself.

levels.py      which sizes are tried, and what was measured at one
usl.py         the Universal Scalability Law through the measurements (scipy)
queueing.py    how long borrowers wait when requests come at a rate
advice.py      which size, and why: pure
caution.py     what looks like production
load.py        runs the statements at one size
experiment.py  goes through the sizes, up and down again
plot.py        the picture (matplotlib)
command.py     options, and the report as a person reads it
"""
