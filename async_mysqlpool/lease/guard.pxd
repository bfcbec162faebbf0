from async_mysqlpool.lease.held cimport Held


cdef class Guarded:
    cdef public Held _connection
    cdef public object _target
