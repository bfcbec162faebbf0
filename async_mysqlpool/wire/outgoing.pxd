cdef class Outgoing:
    cdef object __weakref__
    cdef public object doubt, spent
    cdef public long status, due, own_due
    cdef public bint lost, touched, moved, changed, unheard, wrote, unsafe
    cdef bint _tracked, _is_ours, _out_continued, _infile
    cdef bytes _prefix, _out_head
    cdef object _harmless, _commands, _waiting, _own_error
    cdef Py_ssize_t _out_left

    cpdef begin(self)
    cpdef sent(self, data)
    cdef _sent_in_parts(self, bytes data)
    cdef _packet(self, bytes head, Py_ssize_t length, bytes payload)
    cdef _command(self, long code, packet)
    cdef bint _is_harmless(self, packet) except -1
    cpdef expect(self, tuple codes, on_done)
    cpdef distrust(self, str reason)
    cpdef end(self, error=*)
    cdef _fail_waiting(self, error)
