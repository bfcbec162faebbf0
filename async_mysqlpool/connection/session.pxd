from async_mysqlpool.connection.entry cimport Entry


cpdef bint begin_reset(driver, Entry entry, mode, bint cork) except -1
cdef _restore(driver, Entry entry, baseline)
cpdef bint may_have_moved(Entry entry) except -1
cpdef bint is_clean(Entry entry, mode) except -1
cpdef left_open(Entry entry)
