from async_mysqlpool.drivers.results cimport Shape, StatementReader


cdef class StandIn:
    cdef Shape _shape
    cdef object _rows, _query, _cursor
    cdef StatementReader _reader
    cdef tuple _args
    cdef Py_ssize_t _number
    cdef bint _dictionary, _closed

    cdef _made(self)
    cdef _ready(self)
