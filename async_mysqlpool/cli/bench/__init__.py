"""``async-mysqlpool bench``: a statement of yours over sizes, tasks, drivers and resets.

measure.py  one combination, and where its time goes
plot.py     the picture (matplotlib)
command.py  options, and the table as a person reads it
"""
