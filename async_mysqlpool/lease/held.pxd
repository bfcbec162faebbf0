from async_mysqlpool.connection.entry cimport Entry


cdef class Owner:
    cdef public object driver, loop

    cpdef handed_on(self, Entry entry, task)
    cpdef give_back(self, Entry entry)


cdef class Held:
    cdef object __weakref__
    cdef public Owner _owner
    cdef public object _site, _busy
    cdef public Entry _entry
