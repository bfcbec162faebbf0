"""``async-mysqlpool check``: what a pool meets at a server.

facts.py     what can be known, as plain data
probe.py     every installed driver opens a pool there     (server.py: what the server says of itself)
findings.py  what follows from the facts: pure
command.py   options, the printed report
"""
