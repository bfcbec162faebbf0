from async_mysqlpool.wire.wakeups cimport Waiter, Wakeups


cdef class Deadlines:
    cdef object _line, _number, _timer
    cdef list _heap
    cdef double _rings_at
    cdef Py_ssize_t _sweep_at

    cpdef watch(self, waiter, double deadline)


cdef class Permits:
    cdef public long free
    cdef public object queue
    cdef Deadlines _deadlines
    cdef object _refused
    cdef Wakeups _wakeups

    cpdef bint take(self) except -1
    cpdef Waiter line_up(self, loop, deadline)
    cpdef leave(self, Waiter waiter)
    cpdef bint hand_over(self, gift) except -1
    cpdef release(self)
