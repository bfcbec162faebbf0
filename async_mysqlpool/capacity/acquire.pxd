from async_mysqlpool.capacity.flow cimport Flow


cdef class Acquire:
    cdef object _pool, _timeout, _site, _connection
    cdef double _checks_end
    cdef public str phase


cdef class WatchedAcquire(Acquire):
    pass
