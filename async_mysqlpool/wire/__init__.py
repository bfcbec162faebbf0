"""What went over a connection, known from its packets: for all three drivers, sans-I/O but for `transport.py`.

packets.py    the words of the protocol
wire.py       one connection: commands, replies, facts
transport.py  the wire in its place, between a driver and its transport
unseen.py     the facts of a connection that cannot be listened to
reads.py      which statements reset="auto" takes for harmless
"""
