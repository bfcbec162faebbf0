cimport cython


cdef class Shape:
    cdef public bytes head
    cdef public object encoding, result, packet
    cdef public tuple decoders, converters
    cdef public list names
    cdef public int sequence, misses


cdef class StatementReader:
    cdef public object raw, wire, _shapes, _driver
    cdef public bint _eof_follows, exposed

    cpdef Shape find(self, query, bint dictionary)
    @cython.locals(at=Py_ssize_t, sequence=int)
    cdef list _read(self, Shape shape, bytearray reply)


@cython.locals(length=Py_ssize_t, warnings=Py_ssize_t, status=Py_ssize_t)
cdef _ending(bytearray reply, Py_ssize_t at, int sequence, bint eof_follows)
