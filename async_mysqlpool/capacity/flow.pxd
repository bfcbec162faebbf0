from async_mysqlpool.capacity.permits cimport Deadlines, Permits
from async_mysqlpool.connection cimport session
from async_mysqlpool.connection.entry cimport Entry
from async_mysqlpool.lease.held cimport Owner


cdef class Flow(Owner):
    cdef object __weakref__
    cdef public object config, name, idle, journal, workers
    cdef public set entries
    cdef public Deadlines deadlines
    cdef public Permits permits
    cdef public dict wanted, holders
    cdef public bint closing
    cdef public double held_time
    cdef bint _hooked

    cpdef Entry take_now(self, double now)
    cpdef bint is_useless(self, Entry entry) except -1
    cpdef bint is_dead(self, Entry entry) except -1
    cpdef bint has_given_up(self, Entry entry) except -1
    cpdef lend(self, Entry entry, double now, site, task)
    cpdef _take_back(self, Entry entry, double now)
    cdef _let_go(self, task)
    cdef _sort(self, Entry entry, reason)
    cdef bint _begin_reset(self, Entry entry) except -1
    cdef _unfit(self, Entry entry, double now)
    cdef _misused(self, Entry entry, wire)
    cpdef offer(self, Entry entry)
    cdef bint _hand_over(self, Entry entry) except -1
