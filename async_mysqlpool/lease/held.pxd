from async_mysqlpool.connection.entry cimport Entry


cdef class Held:
    cdef object __weakref__
    cdef public object _owner, _site, _busy
    cdef public Entry _entry
