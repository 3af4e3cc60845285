// What this processor and operating system can run. Compiled for the baseline, in plain C against the Python
// API: it is loaded before it is known what else may be.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

// Appends the name of a feature that is missing; -1 with an exception set where that fails.
static int require(PyObject* missing, const char* feature, int supported) {
  if (supported) return 0;
  PyObject* text = PyUnicode_FromString(feature);
  const int result = text ? PyList_Append(missing, text) : -1;
  Py_XDECREF(text);
  return result;
}

// The compiler wants literals.
#define REQUIRE(feature) require(missing, feature, __builtin_cpu_supports(feature))

// Fills `missing` for one level; -1 with an exception set for an unknown one.
static int list_missing(PyObject* missing, const char* level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (strcmp(level, "base") == 0) {  // x86-64-v2
    return REQUIRE("sse3") | REQUIRE("ssse3") | REQUIRE("sse4.1") | REQUIRE("sse4.2") | REQUIRE("popcnt");
  }
  if (strcmp(level, "v3") == 0 || strcmp(level, "v4") == 0) {
    const int v3 = REQUIRE("avx") | REQUIRE("avx2") | REQUIRE("fma") | REQUIRE("bmi") | REQUIRE("bmi2");
    if (v3 < 0 || strcmp(level, "v3") == 0) return v3;
    return REQUIRE("avx512f") | REQUIRE("avx512bw") | REQUIRE("avx512cd") | REQUIRE("avx512dq") |
           REQUIRE("avx512vl");
  }
#else
  if (strcmp(level, "base") == 0) return 0;
#endif
  PyErr_Format(PyExc_ValueError, "name: expected base, v3 or v4, got %s", level);
  return -1;
}

static PyObject* missing_features(PyObject* self, PyObject* name) {
  (void)self;
  const char* level = PyUnicode_AsUTF8(name);
  PyObject* missing = level ? PyList_New(0) : NULL;
  if (missing && list_missing(missing, level) < 0) Py_CLEAR(missing);
  return missing;
}

static PyMethodDef methods[] = {{"missing_features", missing_features, METH_O,
                                 "missing_features(name: str) -> list[str]\n\nFeatures of instruction set "
                                 "`name` that this machine lacks."},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef_Slot slots[] = {
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cpu", "What this machine can run.", 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__cpu(void) { return PyModuleDef_Init(&definition); }
