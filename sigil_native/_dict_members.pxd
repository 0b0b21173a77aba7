"""The members of a dict, one after the other, without a call for each."""

from cpython.object cimport PyObject

cdef extern from *:
    """
    // PyDict_Next() takes fifty instructions a member, a sixth of a walk over a small event. CPython 3.11's
    // own layout of a dict whose names are all str, from its private header, shows them in ten. Other
    // versions, and other dicts (of objects' attributes, with names of other types), go the public way.
    #if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000 && defined(__GNUC__) && !defined(PYPY_VERSION)
    #if __has_include("internal/pycore_dict.h")
    #define Py_BUILD_CORE 1
    #include "internal/pycore_dict.h"
    #undef Py_BUILD_CORE
    #define SIGIL_KNOWS_DICTS 1
    #endif
    #endif

    static inline int sigil_next_member(PyObject* dict, Py_ssize_t* place, PyObject** name, PyObject** value) {
    #ifdef SIGIL_KNOWS_DICTS
        PyDictKeysObject* const keys = ((PyDictObject*)dict)->ma_keys;
        if (((PyDictObject*)dict)->ma_values == NULL && keys->dk_kind == DICT_KEYS_UNICODE) {
            while (*place < keys->dk_nentries) {
                const PyDictUnicodeEntry* const entry = &DK_UNICODE_ENTRIES(keys)[(*place)++];
                if (entry->me_value == NULL) continue;  // it was deleted
                *name = entry->me_key;
                *value = entry->me_value;
                return 1;
            }
            return 0;
        }
    #endif
        return PyDict_Next(dict, place, name, value);
    }
    """
    # As PyDict_Next: borrowed references, in the order of insertion. The dict must not change on the way.
    bint sigil_next_member(PyObject* members, Py_ssize_t* place, PyObject** name, PyObject** value)
