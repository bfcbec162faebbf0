cdef class Entry:
    cdef public object raw, wire, reader, baseline, state, block, unread, reset_error, on_reset, doubt, site, task, user, local_port, peer
    cdef public object connection_id
    cdef public bint pipelines, killable, broken_off, exposed, needs_look, suspect_role, open_transaction, abandoned, suspect, warned
    cdef public double created_at, released_at, acquired_at, pinged_at, expires_at
    cdef public long uses

    cpdef bint needs_ping(self, double now, double validate_after) except -1
    cpdef lend(self, double now, site, task)
    cpdef expose(self)
    cpdef take_back(self, double now)
