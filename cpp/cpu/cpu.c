// What this processor and operating system can run. Compiled for the baseline, in plain C against the Python
// API: it is loaded before it is known what else may be.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject* missing_features(PyObject* self, PyObject* name) {
  (void)self;
  PyObject* missing = PyList_New(0);
  const char* level = missing ? PyUnicode_AsUTF8(name) : NULL;
  if (!level) {
    Py_XDECREF(missing);
    return NULL;
  }
#define REQUIRE(feature)                             \
  if (!__builtin_cpu_supports(feature)) {            \
    PyObject* text = PyUnicode_FromString(feature);  \
    if (!text || PyList_Append(missing, text) < 0) { \
      Py_XDECREF(text);                              \
      Py_DECREF(missing);                            \
      return NULL;                                   \
    }                                                \
    Py_DECREF(text);                                 \
  }
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (strcmp(level, "base") == 0) {  // x86-64-v2
    REQUIRE("sse3") REQUIRE("ssse3") REQUIRE("sse4.1") REQUIRE("sse4.2") REQUIRE("popcnt")
  } else if (strcmp(level, "v3") == 0) {
    REQUIRE("avx") REQUIRE("avx2") REQUIRE("fma") REQUIRE("bmi") REQUIRE("bmi2")
  } else if (strcmp(level, "v4") == 0) {
    REQUIRE("avx")
    REQUIRE("avx2") REQUIRE("fma") REQUIRE("bmi") REQUIRE("bmi2") REQUIRE("avx512f") REQUIRE("avx512bw")
        REQUIRE("avx512cd") REQUIRE("avx512dq") REQUIRE("avx512vl")
  } else {
    Py_DECREF(missing);
    return PyErr_Format(PyExc_ValueError, "name: expected base, v3 or v4, got %s", level);
  }
#endif
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
