cimport cython

from async_mysqlpool.wire.transport cimport TransportWire
from async_mysqlpool.wire.wakeups cimport Waiter


cdef class Shape:
    cdef public bytes head
    cdef public object encoding, result, packet
    cdef public tuple decoders, converters
    cdef public list names
    cdef public int sequence, misses


cdef class StatementReader:
    cdef public TransportWire wire
    cdef public object raw, _shapes, _driver
    cdef public bint _eof_follows, exposed

    cpdef bint is_idle(self) except -1
    cdef bint _reads_as(self, Shape shape) except -1
    cpdef Waiter ask(self, bytes statement)
    cpdef list read(self, Shape shape, bytearray reply)

    cpdef Shape find(self, query, bint dictionary)
    @cython.locals(at=Py_ssize_t, sequence=int)
    cdef list _read(self, Shape shape, bytearray reply)


@cython.locals(length=Py_ssize_t, warnings=Py_ssize_t, status=Py_ssize_t)
cdef _ending(bytearray reply, Py_ssize_t at, int sequence, bint eof_follows)


cdef class Originals:
    cdef list _functions
    cdef public bint known

    cpdef bint stand(self) except -1
