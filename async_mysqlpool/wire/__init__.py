"""What went over a connection, known from its packets: for all three drivers, sans-I/O but for `transport.py`.

packets.py    the words of the protocol
outgoing.py   the facts of one connection, and what goes out over it
wire.py       what comes in: replies, to whose commands, and what they say
transport.py  the wire in its place, between a driver and its transport
unseen.py     the facts of a connection that cannot be listened to
reads.py      which statements reset="auto" takes for harmless
"""
