from async_mysqlpool.wire.wire cimport Wire


cdef class TransportWire(Wire):
    cdef public object output
    cdef public bint stirred
    cdef public object _transport, _inner
    cdef bytes _held

    cpdef begin(self)
    cpdef write(self, data)
    cdef _weigh(self, bytes data)
    cpdef send(self, bytes data, tuple codes, on_done, bint cork=*)
    cpdef flush(self)
