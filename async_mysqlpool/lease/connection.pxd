from async_mysqlpool.lease.guard cimport Guarded
from async_mysqlpool.lease.held cimport Held


cdef class PooledConnection(Held):
    pass


cdef class PooledCursor(Guarded):
    cdef bint _pending, _buffered
