/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The processor's instruction RdRand for Python, and nothing else: whether there is one, and octets
 * from it. Built for Python's limited interface, so that one build serves 3.11 and everything later.
 * On another processor it builds too, and says that there is no RdRand.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* Intel, Digital Random Number Generator Software Implementation Guide, Retry Recommendations: a
 * word that is not to be had in ten tries in a row is the sign of a broken processor. */
#define TRIES 10

#define MAX_OCTETS (1 << 20)

#if defined(__x86_64__)

#include <cpuid.h>

/* CPUID leaf 1, ECX bit 30. */
static int has_rdrand(void)
{
    unsigned int eax, ebx, ecx, edx;

    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 30)) != 0;
}

/* The carry flag tells whether the word is a random one; the word is 0 where it is not. */
static int rdrand64(uint64_t *word)
{
    unsigned char good;

    for (int tries = 0; tries < TRIES; tries++) {
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*word), "=qm"(good) : : "cc");
        if (good)
            return 1;
    }
    return 0;
}

#else

static int has_rdrand(void)
{
    return 0;
}

static int rdrand64(uint64_t *word)
{
    *word = 0;
    return 0;
}

#endif

static PyObject *available(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return PyBool_FromLong(has_rdrand());
}

static PyObject *fill(PyObject *module, PyObject *argument)
{
    const Py_ssize_t size = (Py_ssize_t)sizeof(uint64_t);
    Py_ssize_t count = PyLong_AsSsize_t(argument);
    PyObject *octets;
    char *place;
    uint64_t word;

    (void)module;
    if (count == -1 && PyErr_Occurred())
        return NULL;
    if (count < 0 || count > MAX_OCTETS)
        return PyErr_Format(PyExc_ValueError, "RdRand is asked for 0 to %d octets", MAX_OCTETS);
    if (!has_rdrand())
        return PyErr_Format(PyExc_RuntimeError, "the processor has no RdRand");
    octets = PyBytes_FromStringAndSize(NULL, count);
    if (octets == NULL)
        return NULL;
    place = PyBytes_AsString(octets);
    for (Py_ssize_t done = 0; done < count; done += size) {
        if (!rdrand64(&word)) {
            Py_DECREF(octets);
            Py_RETURN_NONE;
        }
        memcpy(place + done, &word, (size_t)(count - done < size ? count - done : size));
    }
    return octets;
}

static PyMethodDef methods[] = {
    {"available", available, METH_NOARGS, "Tell whether CPUID says that there is RdRand."},
    {"fill", fill, METH_O, "Give that many octets of RdRand; None if it gives none in ten tries."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_rdrand",
    .m_doc = "The processor's instruction RdRand.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__rdrand(void)
{
    return PyModuleDef_Init(&definition);
}
