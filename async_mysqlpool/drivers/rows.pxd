cimport cython


@cython.locals(length=Py_ssize_t, first=int, end=Py_ssize_t)
cpdef tuple rows_of(bytes reply, Py_ssize_t at, int sequence, tuple converters)

@cython.locals(length=Py_ssize_t, width=int)
cdef tuple _row(bytes reply, Py_ssize_t at, Py_ssize_t end, tuple converters)
