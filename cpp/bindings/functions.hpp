// What each file of this folder adds to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace fastrnn::bindings {

void add_cell_class(pybind11::module_& module);
void add_layer_functions(pybind11::module_& module);
void add_linear_functions(pybind11::module_& module);
void add_mask_functions(pybind11::module_& module);
void add_stream(pybind11::module_& module);
void add_tape_functions(pybind11::module_& module);
void add_update_functions(pybind11::module_& module);

}  // namespace fastrnn::bindings
