cimport cython

from async_mysqlpool.wire.reads cimport keeps_schema
from async_mysqlpool.wire.wakeups cimport Waiter, Wakeups
from async_mysqlpool.wire.wire cimport Wire

cdef Py_ssize_t _HEADER


cdef class TransportWire(Wire):
    cdef public object output
    cdef public bint stirred
    cdef public object _transport, _inner, _loop
    cdef public Wakeups _wakeups
    cdef public Waiter _answer
    cdef bytes _held
    cdef bytearray _kept

    cpdef begin(self)
    cpdef write(self, data)
    cpdef Waiter ask(self, bytes statement)
    cpdef forget(self)
    @cython.locals(kept=bytearray, size=Py_ssize_t)
    cpdef _keep_reply(self, data)
    cdef _yield_answer(self)
    cdef _answered(self, bytearray reply)
    cdef _weigh(self, bytes data)
    cpdef send(self, bytes data, tuple codes, on_done, bint cork=*)
    cpdef flush(self)
