from async_mysqlpool.wire.outgoing cimport Outgoing

cdef Py_ssize_t _HEADER
cdef long _FIRST, _COLUMNS, _COLUMNS_END, _ROWS, _ROWS_END, _SKIPPED, _NEWS


cdef class Wire(Outgoing):
    cdef bint _eof_follows, _eof_tells, _continued
    cdef bytes _ok
    cdef bytearray _stash
    cdef long _phase, _left, _needed, _ok_status
    cdef Py_ssize_t _skip

    cpdef Py_ssize_t received(self, data, Py_ssize_t start, Py_ssize_t end) except -1
    cdef Py_ssize_t _follow(self, bytes data) except -1
    cdef Py_ssize_t _next_packet(self, bytes data, Py_ssize_t at, Py_ssize_t end) except -1
    cdef bint _is_usual(self, bytes data, Py_ssize_t at, Py_ssize_t length) except -1
    cdef Py_ssize_t _keep(self, bytes data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t needed) except -1
    cdef Py_ssize_t _pass_columns(self, bytes data, Py_ssize_t at, Py_ssize_t end) except -1
    cdef Py_ssize_t _pass_rows(self, bytes data, Py_ssize_t at, Py_ssize_t end) except -1
    cdef _read(self, bytes payload, bytes head)
    cdef _first(self, long command, bytes payload, bytes head)
    cdef _plain(self, long kind, bytes payload, bytes head)
    cdef _fetched(self, long kind, bytes payload)
    cdef _read_end(self, bytes payload)
    cdef _columns_end(self, long command, reply)
    cdef _result_ends(self, reply)
    cdef _note(self, reply)
    cdef _failed(self, bytes payload)
    cdef _finished(self, reply)
    cdef _ends(self, error)
