// One extension module per instruction set: the table of contents.
#include <pybind11/pybind11.h>

#include "fastrnn/build.h"
#include "functions.hpp"

PYBIND11_MODULE(FASTRNN_MODULE, module, pybind11::mod_gil_not_used()) {
  module.doc() = "Recurrent kernels compiled for one instruction set.";
  module.def(
      "build_info",
      [] {
        const fastrnn::BuildInfo info = fastrnn::build_info();
        pybind11::dict d;
        d["version"] = info.version;
        d["instruction_set"] = info.instruction_set;
        d["compiler"] = info.compiler;
        d["eigen"] = info.eigen;
        d["float32_lanes"] = info.float32_lanes;
        d["float64_lanes"] = info.float64_lanes;
        d["fused_multiply_add"] = info.fused_multiply_add;
        d["bfloat16"] = info.bfloat16_dot ? "dot product" : "widened";
        return d;
      },
      "How this module was compiled.");
  fastrnn::bindings::add_cell_class(module);
  fastrnn::bindings::add_layer_functions(module);
  fastrnn::bindings::add_linear_functions(module);
  fastrnn::bindings::add_mask_functions(module);
  fastrnn::bindings::add_stream(module);
  fastrnn::bindings::add_tape_functions(module);
  fastrnn::bindings::add_update_functions(module);
}
