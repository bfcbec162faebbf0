cpdef bint keeps_schema(bytes statement, Py_ssize_t start=*) except -1
