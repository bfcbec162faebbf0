cdef long _AT_ONCE, _PENDING, _FINISHED, _CANCELLED


cdef class Wakeups:
    cdef object __weakref__
    cdef object _done
    cdef bint _held, _runs_soon
    cdef public bint nests

    cpdef bint hold(self, loop) except -1
    cpdef add(self, Waiter waiter)
    cpdef run(self)
    cdef _go_on(self, Py_ssize_t most)


cdef class Waiter:
    cdef object __weakref__
    cdef public object loop
    cdef public bint _asyncio_future_blocking
    cdef Wakeups _wakeups
    cdef object _callback, _context, _outcome
    cdef long _state

    cpdef bint done(self) except -1
    cpdef bint cancelled(self) except -1
    cpdef bint served(self) except -1
    cpdef set_result(self, result)
    cpdef set_exception(self, error)
    cdef _finish(self, long state, outcome)
    cpdef result(self)
    cpdef go_on(self)


cdef class _Failed:
    cdef public object error
